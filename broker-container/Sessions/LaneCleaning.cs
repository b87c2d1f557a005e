using IotHub.Broker.Durability;
using IotHub.Broker.Sessions.Stored;

namespace IotHub.Broker.Sessions;

/// <content>
/// What keeps the log from growing: a segment that nothing needs is deleted, oldest first. When what is not needed is more than what is,
/// the few things that are needed of the oldest segment are written anew at the end, a block of it at each commit.
/// </content>
public sealed partial class Lane
{
    /// <summary>What a reference stands for beside the bytes of its message: the headers, the receiver, a session's image.</summary>
    private const int BytesPerReference = 128;

    /// <summary>Milliseconds after a disk could not be read until cleaning asks it again.</summary>
    private const int CleanAgainMs = 60_000;

    private long _cleanedUpTo;
    private long _cleanAgainAt;
    private long _cleaningEnd;

    /// <summary>Where the log ended when cleaning began with its oldest segment: a pass is over when all before is gone.</summary>
    private long _passEnd;

    /// <summary>
    /// The log's end, its size and what was needed of it when the last pass was over. What is needed is only reckoned (an image of a session
    /// may be large, and so may be what is owed to routes): a log that seems half empty and is not would otherwise be rewritten for ever.
    /// </summary>
    private (long End, long Bytes, long Needed) _lastPass;
    private bool _isInPass;

    private void Clean()
    {
        var log = Journal!.Log;
        while (log.TakeUnreferenced() is { } segment)
        {
            // What freed it may be recorded and not on disk yet: until it is, a restart would look for what lay there.
            _unreferenced.Enqueue((segment, log.HasPending ? _begun + 1 : _ended));
        }
        var oldest = log.Segments[0];
        if (_cleaningEnd <= oldest.First)
        {
            var end = log.Segments[^1].End;
            var bytes = end - oldest.First;
            if (_isInPass && oldest.First >= _passEnd)
            {
                (_isInPass, _lastPass) = (false, (end, bytes, NeededBytes(log)));
            }
            if (log.Segments.Count < 2 || bytes < _cleanFromBytes || !IsWorthCleaning(bytes, end, NeededBytes(log)))
            {
                return;
            }
            if (!_isInPass)
            {
                (_isInPass, _passEnd) = (true, end);
            }
            (_cleanedUpTo, _cleaningEnd) = (oldest.First, oldest.End);
        }
        if (_cleanedUpTo < _cleaningEnd && Now >= _cleanAgainAt)
        {
            CleanBlock(log);
        }
    }

    private void CleanBlock(ShardLog log)
    {
        try
        {
            _cleanedUpTo = log.ReadBlock(_cleanedUpTo, Relocate);
        }
        catch (DamagedLogException e)
        {
            // The log grows until the next start, which finds the damage and says what to do.
            Broker.CannotReadBack(Index, e.Message);
            _cleanedUpTo = _cleaningEnd;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The disk may give it later.
            Broker.CannotReadBack(Index, e.Message);
            _cleanAgainAt = Now + CleanAgainMs;
        }
    }

    /// <summary>Another pass also needs that something happened since the last: the log grew by half, or half of it is needed no more.</summary>
    private bool IsWorthCleaning(long bytes, long end, long needed) => bytes > 2 * needed
        && (_isInPass || end - _lastPass.End >= _lastPass.Bytes / 2 || needed < _lastPass.Needed / 2);

    /// <summary>Of the log's bytes, reckoned by what they stand for.</summary>
    private long NeededBytes(ShardLog log)
    {
        var needed = log.Segments.Sum(s => s.References) * BytesPerReference;
        foreach (var hub in Hubs.Values)
        {
            needed += hub.QueuedBytes + hub.Retained.Bytes;
        }
        return needed;
    }

    /// <summary>Writes what is still needed of an old record at the end of the log.</summary>
    private void Relocate(long position, byte kind, ReadOnlySpan<byte> body)
    {
        var journal = Journal!;
        var reader = new RecordSpan(body);
        switch ((RecordKind)kind)
        {
            case RecordKind.SessionImage when journal.Sessions.TryGetValue(reader.Int64(), out var session) && session.Home == position:
                journal.Image(session);
                break;
            case RecordKind.Message:
                RelocateMessage(position, MessageRecord.Read(body));
                break;
            case RecordKind.Ingested when Hubs.TryGetValue(reader.Id(), out var hub):
                hub.RelocateIngested(position, reader.Id());
                break;
            case RecordKind.Clock when journal.ClockHome == position:
                journal.Clock(_bootClock(), Now);
                break;
            default:
                // What it says stands in an image or a message, or is over.
                break;
        }
    }

    private void RelocateMessage(long position, in MessageRecord message)
    {
        var journal = Journal!;
        var retained = message.IsRetained && Hubs.TryGetValue(message.HubId, out var hub)
            && hub.Retained.Find(System.Text.Encoding.UTF8.GetString(message.Topic)) is { } kept && kept.Position == position ? kept : null;
        var owed = message.Routes is { } routes && journal.Owed.TryGetValue((routes.HubId, routes.MessageId), out var found)
            && found.Position == position ? routes : null;
        var receivers = new List<(Session Session, StoredReceiver Receiver)>();
        var rest = message.Rest;
        for (var i = 0; i < message.Receivers; i++)
        {
            var receiver = MessageRecord.ReadReceiver(ref rest);
            if (journal.Sessions.TryGetValue(receiver.Session, out var session) && session.Stored[receiver.Sequence].Position == position)
            {
                var packetId = session.HasInFlight ? session.InFlight.IdOf(receiver.Sequence) : (ushort)0;
                receivers.Add((session, receiver with { PacketId = packetId }));
            }
        }
        if (retained is null && owed is null && receivers.Count == 0)
        {
            return;
        }
        var moved = MessageRecord.Begin(journal.Log, new StoredMessage
        {
            Qos = message.Qos,
            PayloadIsText = message.PayloadIsText,
            ExpiresAt = message.ExpiresAt,
            Topic = message.Topic,
            Properties = message.Properties,
            Payload = message.Payload,
            HubId = message.HubId,
            IsRetained = retained is not null,
            RetainedBy = retained?.RetainedBy,
            Routes = owed,
        });
        foreach (var (session, receiver) in receivers)
        {
            MessageRecord.WriteReceiver(journal.Log, receiver);
            session.Stored.Set(receiver.Sequence, session.Stored[receiver.Sequence].At(moved), extra: null);
            journal.Log.AddReference(moved);
            journal.Log.DropReference(position);
        }
        MessageRecord.End(journal.Log, receivers.Count);
        if (retained is not null)
        {
            retained.Position = moved;
            journal.Log.AddReference(moved);
            journal.Log.DropReference(position);
        }
        if (owed is not null)
        {
            journal.Owe(moved, owed);
        }
    }
}
