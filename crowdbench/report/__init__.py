"""Pages for people: one HTML file about one or several runs, and one of the leaderboard.

data.py         what a page shows, without any HTML
collecting.py   runs → that data, by scoring and analysis
protocol.py     a run's protocol and provenance in words
choosing.py     which images are shown
packing.py      what waits for somebody to ask for it
pictures.py     images → small JPEGs under a budget
skeletons.py    poses → short SVG paths
charts.py       numbers → the geometry of charts
rendering.py    templates, escaping, content security policy
page.py         data → the report
board_page.py   the leaderboard's tables → its page
"""

from crowdbench.report.collect import report_data
from crowdbench.report.html import is_page
from crowdbench.report.page import report_html

__all__ = ["is_page", "report_data", "report_html"]
