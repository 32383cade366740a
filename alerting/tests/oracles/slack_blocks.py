"""Reads bodies of Slack messages, a line of JSON each, with the models of Slack's own client: their validators say what
Slack would refuse."""

import json
import sys

from slack_sdk.models.blocks import Block

for line in sys.stdin:
    for attachment in json.loads(line)["attachments"]:
        for block in attachment["blocks"]:
            known = Block.parse(block)
            assert known is not None and type(known) is not Block, f"no block of Slack: {block}"
            known.validate_json()
            lost = {name for name in block if name not in known.to_dict()}
            assert not lost, f"{known.type} has no {lost}"
print("accepted")
