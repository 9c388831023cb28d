"""filterproxy: a DNS and HTTP filter for child online protection that answers for every block."""

__version__ = "0.1.0"
