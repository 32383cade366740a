"""Reads bodies of Slack messages, a line of JSON each, with the models of Slack's own client: their validators say what
Slack would refuse."""

import json
import sys

from slack_sdk.models.blocks import Block


def lost(sent, known, place):
    """Places of what was sent that the models do not know, buttons and their questions included."""
    if isinstance(sent, dict):
        missing = [f"{place}.{name}" for name in sent if name not in known]
        return missing + [at for name in sent if name in known for at in lost(sent[name], known[name], f"{place}.{name}")]
    if isinstance(sent, list):
        return [at for one, other in zip(sent, known, strict=True) for at in lost(one, other, place)]
    return [] if sent == known else [place]


for line in sys.stdin:
    for attachment in json.loads(line)["attachments"]:
        for block in attachment["blocks"]:
            known = Block.parse(block)
            assert known is not None and type(known) is not Block, f"no block of Slack: {block}"
            known.validate_json()
            unknown = lost(block, known.to_dict(), known.type)
            assert not unknown, f"not known to Slack: {unknown}"
print("accepted")
