#!/usr/bin/env python3
"""Compares what lies in an S3 store with what its Delta tables list, as the package deltalake reads them.

usage: store_files.py ENDPOINT s3://BUCKET/PREFIX

The last line is "tables: N". Before it stands a line for each file that should not be there, or not be missing:

unlisted KEY   it lies there, and the newest version does not list it
missing KEY    the newest version lists it, and it does not lie there
upload KEY     an upload in parts was begun and neither ended nor given up
"""

import sys
from urllib.parse import unquote, urlparse

import boto3
from deltalake import DeltaTable


def main(endpoint, location):
    place = urlparse(location)
    bucket, prefix = place.netloc, place.path.strip("/") + "/"
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
    s3 = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **keys)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    found = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    tables = sorted({key[len(prefix) :].split("/")[0] for key in found if "/_delta_log/" in key})
    options = keys | {"aws_region": "us-east-1", "aws_endpoint": endpoint, "aws_allow_http": "true"}
    listed = set()
    for table in tables:
        uris = DeltaTable(f"{location}/{table}", storage_options=options).file_uris()
        listed |= {unquote(urlparse(uri).path.lstrip("/")) for uri in uris}
    data = {unquote(key) for key in found if "/_delta_log/" not in key}
    for key in sorted(data - listed):
        print("unlisted", key)
    for key in sorted(listed - data):
        print("missing", key)
    for upload in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
        print("upload", upload["Key"])
    print("tables:", len(tables))


if __name__ == "__main__":
    main(*sys.argv[1:])
