"""``report.html``: what a run made, on one page, and several runs side by side."""

from .page import REPORT_FILE, try_report, write_comparison, write_report

__all__ = ['REPORT_FILE', 'try_report', 'write_comparison', 'write_report']
