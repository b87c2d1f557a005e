using IotHub.Broker.Auth;
using IotHub.Broker.Durability;
using IotHub.Broker.Protocol;
using IotHub.Broker.Sessions.Stored;
using IotHub.Core.Domain;

namespace IotHub.Broker.Sessions;

/// <summary>Messages of one stored session that were read back from the log, ahead of being sent.</summary>
public sealed class LoadedMessages
{
    public Queue<(long Sequence, Message Message)> Ready { get; } = new();

    /// <summary>A read is under way.</summary>
    public bool IsLoading { get; set; }
}

/// <content>Reading messages back: outside of the lane, some at a time, in the order in which they will be sent.</content>
public sealed partial class Hub
{
    private const int LoadedMessagesMaximum = 128;
    private const int LoadedBytesMaximum = 256 * 1024;

    /// <summary>The message, if it has been read back; else a read is begun, and <see cref="Pump"/> will be called again.</summary>
    private bool TryTakeLoaded(Session session, long sequence, out Message message)
    {
        var loaded = session.Loaded ??= new LoadedMessages();
        while (loaded.Ready.TryDequeue(out var next))
        {
            if (next.Sequence == sequence)
            {
                message = next.Message;
                return true;
            }
            // Done or dropped meanwhile.
            Lane.Messages.Release(next.Message);
        }
        message = null!;
        if (!loaded.IsLoading)
        {
            Load(session, loaded);
            if (loaded.Ready.TryPeek(out var first) && first.Sequence == sequence)
            {
                message = loaded.Ready.Dequeue().Message;
                return true;
            }
        }
        return false;
    }

    /// <summary>Begins to read what is sent next. What is not on disk yet is at hand and needs no reading.</summary>
    private void Load(Session session, LoadedMessages loaded)
    {
        var wanted = NextToSend(session);
        var isAtHand = wanted.Count > 0 && wanted[0].Position >= Log.CommittedPosition;
        // As far as they are alike: what comes behind has its turn when these are sent.
        if (wanted.FindIndex(w => w.Position >= Log.CommittedPosition != isAtHand) is var other and > 0)
        {
            wanted.RemoveRange(other, wanted.Count - other);
        }
        if (isAtHand)
        {
            wanted.ForEach(w => loaded.Ready.Enqueue((w.Sequence, Read(w.Position)!)));
            return;
        }
        loaded.IsLoading = true;
        Broker.Background(() => ReadBack(session, loaded, wanted));
    }

    private List<(long Sequence, long Position)> NextToSend(Session session)
    {
        var wanted = new List<(long, long)>();
        var bytes = 0;
        foreach (var packetId in session.HasResend ? session.Resend : [])
        {
            ref var entry = ref session.InFlight.Find(packetId);
            if (!System.Runtime.CompilerServices.Unsafe.IsNullRef(ref entry) && entry.Owed != Owed.PubComp
                && !Want(session, entry.Order, wanted, ref bytes))
            {
                return wanted;
            }
        }
        var queue = session.Stored;
        for (var sequence = queue.FindLive(queue.Unsent); sequence < queue.Next; sequence = queue.FindLive(sequence + 1))
        {
            if (!Want(session, sequence, wanted, ref bytes))
            {
                break;
            }
        }
        return wanted;
    }

    private static bool Want(Session session, long sequence, List<(long Sequence, long Position)> wanted, ref int bytes)
    {
        var entry = session.Stored[sequence];
        bytes += entry.Size;
        if (wanted.Count == LoadedMessagesMaximum || (wanted.Count > 0 && bytes > LoadedBytesMaximum))
        {
            return false;
        }
        wanted.Add((sequence, entry.Position));
        return true;
    }

    /// <summary>On a thread of its own, outside of the lane.</summary>
    private void ReadBack(Session session, LoadedMessages loaded, List<(long Sequence, long Position)> wanted)
    {
        var bodies = new List<(long Sequence, long Position, byte[] Body, int Length)>(wanted.Count);
        string? failed = null;
        foreach (var (sequence, position) in wanted)
        {
            byte[] body = [];
            try
            {
                var length = Log.ReadCommitted(position, ref body, out var kind);
                bodies.Add((sequence, position, body, kind == (byte)RecordKind.Message ? length : -1));
            }
            catch (DamagedLogException e)
            {
                Broker.CannotReadBack(Lane.Index, e.Message);
                bodies.Add((sequence, position, body, -1));
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                failed = e.Message;
                break;
            }
        }
        Lane.Enter();
        try
        {
            loaded.IsLoading = false;
            if (!ReferenceEquals(session.Loaded, loaded))
            {
                return;
            }
            foreach (var (sequence, position, body, length) in bodies)
            {
                if (session.Stored[sequence].Position != position)
                {
                    // Done meanwhile, or moved to another place of the log: then it is read again from there.
                    continue;
                }
                if (length < 0)
                {
                    GiveUp(session, sequence);
                }
                else
                {
                    loaded.Ready.Enqueue((sequence, Lane.Messages.Rent(MessageRecord.Read(body.AsSpan(0, length)), position)));
                }
            }
            if (failed is not null && bodies.Count == 0)
            {
                Broker.CannotReadBack(Lane.Index, failed);
                session.Connection?.End(ReasonCode.ServerUnavailable, publishWill: true);
                return;
            }
            Pump(session);
        }
        finally
        {
            Lane.Leave();
        }
    }

    /// <summary>One message, under the lane, where few are needed. Null when it cannot be read.</summary>
    /// <param name="mayComeBack">It is there, but the disk does not give it now: no reason to forget it.</param>
    private Message? LoadNow(long position, out bool mayComeBack)
    {
        mayComeBack = false;
        try
        {
            return Read(position);
        }
        catch (DamagedLogException e)
        {
            Broker.CannotReadBack(Lane.Index, e.Message);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Broker.CannotReadBack(Lane.Index, e.Message);
            mayComeBack = true;
        }
        return null;
    }

    /// <exception cref="IOException">The disk cannot be read now.</exception>
    /// <exception cref="DamagedLogException">No whole record stands there.</exception>
    private Message? Read(long position)
    {
        byte[] body = [];
        var length = Log.TryRead(position, ref body, out var kind);
        return length >= 0 && kind == (byte)RecordKind.Message
            ? Lane.Messages.Rent(MessageRecord.Read(body.AsSpan(0, length)), position) : null;
    }

    /// <summary>What cannot be read back would hold up all that is behind it.</summary>
    private void GiveUp(Session session, long sequence)
    {
        if (session.HasInFlight && session.InFlight.IdOf(sequence) is var packetId and > 0)
        {
            session.InFlight.Remove(ref session.InFlight.Find(packetId));
        }
        Journal.Done(session, sequence);
        Free(session, sequence);
        Raise(HubEvents.Warning(EventSource.Device, session.Key.DeviceId, "a message is lost: it cannot be read back from the disk", Broker.Time));
    }

    private void ForgetLoaded(Session session)
    {
        if (session.Loaded is { } loaded)
        {
            while (loaded.Ready.TryDequeue(out var next))
            {
                Lane.Messages.Release(next.Message);
            }
            session.Loaded = null;
        }
    }
}
