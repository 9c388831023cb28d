"""The HTTP filter in plain mitmproxy: mitmdump -s addons/http_filter.py --set filterproxy_config=FILE."""

from filterproxy.app import standalone_filter
from filterproxy.inspection.standalone import Standalone

addons = [Standalone(standalone_filter)]
