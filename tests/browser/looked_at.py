"""What is asked of every view, at every width, in light and in dark."""

from __future__ import annotations

from itertools import pairwise

from chromium import WORST_CONTRAST
from playwright.sync_api import Page

# Everything that can be reached by Tab has a name, a role, and shows that it is reached.
UNNAMED = """() => [...document.querySelectorAll('a[href], button, input, select, summary, [tabindex="0"]')]
  .filter((one) => one.checkVisibility() && !(one.getAttribute('aria-label') || one.textContent.trim()
    || one.labels?.length || one.title)).map((one) => one.outerHTML.slice(0, 120))"""
BADLY_MARKED = """() => [
  ...[...document.querySelectorAll('[role=img]')].filter((one) => !one.getAttribute('aria-label')),
  ...[...document.querySelectorAll('[aria-labelledby]')].filter((one) => one.id !== 'dialog'
    && !document.getElementById(one.getAttribute('aria-labelledby'))),
  ...[...document.querySelectorAll('table')].filter((one) => !one.querySelector('th[scope]')),
  ...[...document.querySelectorAll('svg')].filter((one) => !one.closest('.plot, #js-plotly-tester')
    && !one.getAttribute('role') && one.getAttribute('aria-hidden') !== 'true'),
].map((one) => one.outerHTML.slice(0, 120))"""


def is_whole_and_legible(page: Page, width: int) -> None:
    """Assert that a view fits, can be read, is marked for those who hear it, and has its headings in order."""
    assert page.evaluate("document.documentElement.scrollWidth") <= width, page.url
    ratio, where = page.evaluate(WORST_CONTRAST)
    assert ratio >= 4.5, f"{page.url}: {where}"
    assert page.evaluate(UNNAMED) == [], page.url
    assert page.evaluate(BADLY_MARKED) == [], page.url
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map((h) => Number(h.tagName[1]))")
    assert levels[0] == 1, page.url
    assert levels.count(1) == 1, page.url
    assert all(after <= before + 1 for before, after in pairwise(levels)), page.url
