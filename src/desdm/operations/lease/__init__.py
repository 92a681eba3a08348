"""Leases in the database: of several processes of one kind, one at a time may run.

`acquire` a lease before the work, `renew` it well before it ends, call `require` in each transaction that writes, and
`give_up` it at the end. The lease of a process that ended on this machine is free at once; that of a process on another
machine when it ends. Leases go by the clock of the machine, also where a command has a moved clock.
"""

from __future__ import annotations

from desdm.operations.lease.lease import acquire, current_lease, give_up, renew, require
from desdm.operations.lease.model import Lease

__all__ = ["Lease", "acquire", "current_lease", "give_up", "renew", "require"]
