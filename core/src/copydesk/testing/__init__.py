"""The contract suite: what any venue plugin must do, as tests that ship with copydesk. Needs the extra `testing`.

`VenueContract` has the tests, `Rig` is what an author implements to drive a venue from the outside, and `RehearsalRig` is
one for plugins that have a rehearsal server with the common control endpoint.
"""

from copydesk.testing.contract import VenueContract, numbered_tests
from copydesk.testing.rehearsal import RehearsalRig
from copydesk.testing.rig import CHILD, PARENT, CannotDo, Failure, Rig

__all__ = ["CHILD", "PARENT", "CannotDo", "Failure", "RehearsalRig", "Rig", "VenueContract", "numbered_tests"]
