"""How often worker processes report, and when one counts as gone."""

REPORT_EVERY_S = 10.0
GONE_AFTER_S = 3 * REPORT_EVERY_S + 5  # two reports may be lost, one late
