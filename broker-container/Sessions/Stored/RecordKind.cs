namespace IotHub.Broker.Sessions.Stored;

/// <summary>
/// Kinds of records in a shard's log; docs/formats/journal.md shows their bytes. The numbers are on disk: the list may only grow.
/// </summary>
public enum RecordKind : byte
{
    /// <summary>A process has opened the log: its boot and the clock of that boot.</summary>
    Clock = 1,

    /// <summary>A session as a whole, its messages excepted. What was said of it before no longer counts.</summary>
    SessionImage = 2,

    /// <summary>A session's client came or went: expiry and will as they are from here on.</summary>
    SessionChanged = 3,
    SessionEnded = 4,
    Subscribed = 5,
    Unsubscribed = 6,

    /// <summary>An application message, with all that it is kept for.</summary>
    Message = 7,

    /// <summary>A waiting message went to its client under a packet id.</summary>
    Sent = 8,

    /// <summary>PUBREC came: PUBREL is owed, the message is no longer needed.</summary>
    Received = 9,

    /// <summary>PUBACK or PUBCOMP came, or the message was given up.</summary>
    Done = 10,

    /// <summary>A QoS 2 publish of a stored session came under this packet id, and nobody wanted it.</summary>
    IncomingReceived = 11,

    /// <summary>PUBREL came for it.</summary>
    IncomingReleased = 12,
    RetainedCleared = 13,

    /// <summary>All routes of a message have it.</summary>
    RoutesDone = 14,

    /// <summary>The id of a message that came in from outside, so that a repeat has no second effect.</summary>
    Ingested = 15,

    /// <summary>The hub is gone with all that it had.</summary>
    HubEnded = 16,
}
