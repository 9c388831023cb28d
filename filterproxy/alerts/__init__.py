"""Alerts: what an operator must hear of, told in the log, the metrics, by webhook and by mail.

Nothing here holds a listed address of a confidential list: what is not in an alert can reach nobody by mistake.
"""

from .alert import KINDS, Alert
from .alerts import Alerts
from .domains import Owned
from .hits import Hits
from .outbox import Pace

__all__ = ["KINDS", "Alert", "Alerts", "Hits", "Owned", "Pace"]
