"""Arrival of data (Data Transport System): deliveries of the telescope, from the drop directory into the archive.

A delivery has a row before anything is judged. It ends as ingested, duplicate, quarantined (until a person decides) or
dismissed; a process that is killed anywhere goes on where it stopped when it is started again.
"""

from __future__ import annotations

from desdm.operations.dts.accept import Receiver
from desdm.operations.dts.decide import dismiss, release
from desdm.operations.dts.model import Delivery, NightArrival, Programme
from desdm.operations.dts.observatory import import_list
from desdm.operations.dts.programmes import programmes, set_programme
from desdm.operations.dts.status import ArrivalStatus, arrival_status
from desdm.operations.dts.watch import watch

__all__ = [
    "ArrivalStatus",
    "Delivery",
    "NightArrival",
    "Programme",
    "Receiver",
    "arrival_status",
    "dismiss",
    "import_list",
    "programmes",
    "release",
    "set_programme",
    "watch",
]
