#!/usr/bin/env python3
"""Sends API calls as CloudEvents with the SDK of the CloudEvents project, in binary and structured mode.

usage: push_events.py HOST:PORT COUNT      prints the status of every answer, one a line
"""

import http.client
import sys
from datetime import datetime, timedelta, timezone

from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent


def event(number, content_type):
    attributes = {
        "id": f"sdk {number} \N{EURO SIGN}",
        "source": "/sdk",
        "type": "com.example.apihealth.api_call.completed.v1",
        "time": datetime(2026, 3, 14, 18, tzinfo=timezone.utc) + timedelta(seconds=number),
        "tenantkind": "creator",
        "tenantid": "c1",
    }
    if content_type:
        attributes["datacontenttype"] = content_type
    data = {"provider": "usps", "api": "rates", "outcome": "success", "duration_ms": number, "status_code": 200}
    return CloudEvent(attributes=attributes, data=data)


def main():
    address, count = sys.argv[1], int(sys.argv[2])
    connection = http.client.HTTPConnection(address, timeout=60)
    for number in range(count):
        # With and without a type of the data: without, it is JSON.
        made = event(number, "application/json" if number % 3 else None)
        message = to_binary_event(made) if number % 2 else to_structured_event(made)
        connection.request("POST", "/api/v1/events", body=message.body, headers=message.headers)
        response = connection.getresponse()
        text = response.read().decode()
        print(response.status, "" if response.status == 202 else text)


main()
