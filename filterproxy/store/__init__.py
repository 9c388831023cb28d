"""Appeals, overrides, decisions on quarantine, and totals, in SQLite or PostgreSQL."""

from .rows import AppealCounts, AppealRow, AppealStatus, Filed, Move, OverrideRow, Step
from .store import Store

__all__ = ["AppealCounts", "AppealRow", "AppealStatus", "Filed", "Move", "OverrideRow", "Step", "Store"]
