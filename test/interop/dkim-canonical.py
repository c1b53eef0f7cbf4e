"""Writes the bytes that an X-de-mail-integrity header covers, and its signature value, by python3-dkim.

usage: dkim-canonical.py MESSAGE HASH SIGNED SIGNATURE
Fails where the body hash differs.
"""
import base64
import hashlib
import re
import sys

import dkim
from dkim.canonicalization import CanonicalizationPolicy


class Collector:
    """Stands where dkim expects a hash object."""

    def __init__(self):
        self.data = b""

    def update(self, data):
        self.data += data


message, hash_name, signed_file, signature_file = sys.argv[1:]
with open(message, "rb") as file:
    headers, body = dkim.rfc822_parse(file.read())
name, value = next(h for h in headers if h[0].lower() == b"x-de-mail-integrity")
tags = dkim.util.parse_tag_value(value)
policy = CanonicalizationPolicy.from_c_value(tags[b"c"])

body_hash = base64.b64encode(hashlib.new(hash_name, policy.canonicalize_body(body)).digest())
if body_hash != re.sub(rb"\s+", b"", tags[b"bh"]):
    sys.exit("body hash differs")

names = [n.lower() for n in re.split(rb"\s*:\s*", tags[b"h"].strip())]
collector = Collector()
others = [h for h in headers if h[0].lower() != b"x-de-mail-integrity"]
dkim.hash_headers(collector, policy, policy.canonicalize_headers(others), names, (name, value), tags)
with open(signed_file, "wb") as file:
    file.write(collector.data)
with open(signature_file, "wb") as file:
    file.write(base64.b64decode(re.sub(rb"\s+", b"", tags[b"b"])))
