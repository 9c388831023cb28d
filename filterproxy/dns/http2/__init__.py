"""HTTP/2 (RFC 9113) as far as answering questions needs it: bytes in, requests out, answers in, bytes out; no socket.

`connection` holds it together; `frames` are its words, `heads` their fields, `inflow` what is asked, `outflow` what is
answered.
"""
