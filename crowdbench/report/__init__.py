"""Reports: one HTML file about one or several runs, and one of the leaderboard.

data.py, charts.py    what a page shows, without any HTML
collect.py            runs → that data, by scoring and analysis
collect_gallery.py    the same for the gallery of images
run_facts.py          a run's protocol and provenance in words
image_choice.py       which images are shown
jpegs.py              images → small JPEGs within a budget
svg_poses.py          poses → short SVG paths
compression.py        what is unpacked on request only
html.py               templates, escaping, content security policy
page.py, gallery.py   data → the report
leaderboard_page.py   the leaderboard's tables → its page
"""

from crowdbench.report.collect import report_data
from crowdbench.report.html import is_page
from crowdbench.report.page import report_html

__all__ = ["is_page", "report_data", "report_html"]
