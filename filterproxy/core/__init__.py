"""The pure heart: names, indexes, policy and the one decision. No I/O, no clock, no logging."""
