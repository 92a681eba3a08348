"""The families of faults; importing this package registers all of them, in the order of the table."""

from tests.faults.families import (  # noqa: I001 - the order is that of the table
    kills as kills,
    databases as databases,
    disks as disks,
    twins as twins,
    flags as flags,
    flips as flips,
    broken as broken,
    inputs as inputs,
    loads as loads,
    queues as queues,
    strangers as strangers,
    logs as logs,
    readers as readers,
    clocks as clocks,
    upgrades as upgrades,
)
