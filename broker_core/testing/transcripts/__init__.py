"""Recorded conversations over web sockets, held again with any client: as they were, faster, or with something going wrong.

::

    async with TranscriptServer("cassettes/stream/trading_paper.jsonl", faults=[Drop(after=4)]) as server:
        ...  # point the client at server.url
    assert server.differences == []

A transcript is a file of JSON lines. The first says what was wanted and what came of it (``wish``, ``items``); each further line is one
frame: ``at`` (seconds since the first), ``dir`` as the client sees it (``in`` or ``out``), and ``text``, or ``base64`` of a binary frame.
"""

from broker_core.testing.transcripts.faults import Delay, Drop, Duplicate, Fault, Garble, Lose, Mute, Swap, Truncate
from broker_core.testing.transcripts.matching import Difference
from broker_core.testing.transcripts.server import FAST, RECORDED, End, TranscriptServer
from broker_core.testing.transcripts.transcript import Frame, Line, Transcript, frame_of, read

__all__ = [
    "FAST",
    "RECORDED",
    "Delay",
    "Difference",
    "Drop",
    "Duplicate",
    "End",
    "Fault",
    "Frame",
    "Garble",
    "Line",
    "Lose",
    "Mute",
    "Swap",
    "Transcript",
    "TranscriptServer",
    "Truncate",
    "frame_of",
    "read",
]
