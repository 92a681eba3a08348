"""Tables of notices: rules of who is told what, and the outbox."""

from __future__ import annotations

from sqlalchemy import DateTime, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from desdm.schema.columns import STATE, closed, col, metadata
from desdm.schema.operationstates import NoticeMode, NoticeState, Severity

__all__ = ["notice", "notice_cursor", "notice_rule"]

notice_rule = Table(
    "notice_rule",
    metadata,
    col("id", Integer, primary_key=True, text="Number of the rule", ucd="meta.id;meta.main"),
    col("name", String(48), text="Name of the rule, unique"),
    col("kind", STATE, default="*", text="Kind of event that it is for; *: all"),
    col("subject", String(200), default="*", text="Pattern of the subject with * and ?"),
    col("severity", STATE, default="watch", text="Least severity of a problem that is told"),
    col("target", Text, text="mailto:address, or the URL of a webhook, chat or ticket system"),
    col("mode", STATE, text="First, every one, or together"),
    col("quiet_from", String(5), default="", text="Quiet hours begin, HH:MM UTC; empty: none"),
    col("quiet_to", String(5), default="", text="Quiet hours end, HH:MM UTC"),
    col("owner", String(32), text="Whose rule it is"),
    col("since", DateTime, text="Since when it holds, UTC"),
    col("until", DateTime, nullable=True, text="Until when it held, UTC; none: it holds"),
    col("after_event", Integer, default=0, text="Newest event when it was added: it tells later ones"),
    col(
        "after_note",
        Integer,
        default=0,
        text="Newest note on a problem when it was added: it tells later ones",
    ),
    UniqueConstraint("name"),
    closed("mode", NoticeMode),
    closed("severity", Severity),
    comment="Rules of who is told what, where and how often",
)

notice = Table(
    "notice",
    metadata,
    col("id", Integer, primary_key=True, text="Number of the notice, in order", ucd="meta.id;meta.main"),
    col("notice_rule_id", Integer, ForeignKey("notice_rule.id"), text="Rule that made it"),
    col(
        "notice_key",
        String(200),
        text="Key: the same cause makes no second one",
    ),
    col("event_id", Integer, ForeignKey("event.id"), nullable=True, text="Event that caused it"),
    col("target", Text, text="Where it goes"),
    col("subject", String(200), text="Subject"),
    col("severity", STATE, text="Severity of its cause"),
    col("body", Text, text="Text"),
    col("state", STATE, text="Where it stands"),
    col("tries", Integer, default=0, text="How often it was tried"),
    col("next_try", DateTime, nullable=True, text="Not to be sent before, UTC", ucd="time"),
    col("made_at", DateTime, text="When it was made, UTC", ucd="time"),
    col("sent_at", DateTime, nullable=True, text="When the channel took it, UTC", ucd="time"),
    col(
        "batch",
        String(48),
        nullable=True,
        text="Message that carries it, the same at each try; left part of the Message-ID of a mail",
    ),
    col("last_error", Text, nullable=True, text="What the channel said at the last try"),
    col("acked_by", String(32), nullable=True, text="Who acknowledged it"),
    col("resolves_id", Integer, ForeignKey("notice.id"), nullable=True, text="Notice whose cause is gone"),
    UniqueConstraint("notice_key"),
    closed("state", NoticeState),
    closed("severity", Severity),
    Index("ix_notice_state", "state", "next_try"),
    comment="Notices: the outbox, committed with their causes",
)

notice_cursor = Table(
    "notice_cursor",
    metadata,
    col("source", String(12), primary_key=True, text="Where causes come from: event, problem"),
    col("last_id", Integer, text="Newest row of it that was looked at"),
    comment="How far causes were looked at for notices",
)
