#!/usr/bin/env python3
"""Builds common_passwords.bin, the filter of common passwords, from a list with one password per line.

    python3 src/model/common_passwords.py 100k-most-used-passwords-NCSC.txt src/model/common_passwords.bin

The list is Passwords/Common-Credentials/100k-most-used-passwords-NCSC.txt of github.com/danielmiessler/SecLists (MIT),
published by the UK National Cyber Security Centre from the data of haveibeenpwned.com. Its SHA-256 is checked, so that the
same input gives the same filter. The filter is a Bloom filter: common_passwords.rs reads it and describes the format.
"""

import hashlib
import sys

LIST_SHA256 = "6e557fa1df48c78ac153cad9b0c6f865fb3df4d4ac00a43e7fd409e226b42acb"
BITS = 2_000_000
HASHES = 14


def main() -> None:
    source, target = sys.argv[1:]
    with open(source, "rb") as file:
        data = file.read()
    if hashlib.sha256(data).hexdigest() != LIST_SHA256:
        sys.exit(f"{source} is not the expected version of the list")
    entries = {line.strip().lower() for line in data.decode("utf-8").splitlines()} - {""}
    bits = bytearray(BITS // 8)
    for entry in entries:
        digest = hashlib.sha256(entry.encode("utf-8")).digest()
        first = int.from_bytes(digest[0:8], "little")
        step = int.from_bytes(digest[8:16], "little") | 1
        for index in range(HASHES):
            bit = (first + index * step) % 2**64 % BITS
            bits[bit // 8] |= 1 << bit % 8
    with open(target, "wb") as file:
        file.write(bits)
    print(f"{len(entries)} passwords, {len(bits)} bytes, SHA-256 {hashlib.sha256(bits).hexdigest()}")


main()
