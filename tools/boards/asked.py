"""What the board of dialogues asks again and again."""

from __future__ import annotations

OF = 'instance=~"$instance"'
AT = f'{OF}, topic=~"$topic"'
RATE = "$__rate_interval"


def rate(name: str, by: str, labels: str = OF) -> str:
    """Return how much a counter grows a second."""
    return f"sum by ({by}) (rate({name}{{{labels}}}[{RATE}]))"


def quantile(share: float, name: str, by: str, labels: str = OF) -> str:
    """Return the quantile of a histogram over 5 minutes."""
    return f"histogram_quantile({share}, sum by ({by}, le) (rate({name}_bucket{{{labels}}}[5m])))"
