using IotHub.Broker.Durability;
using IotHub.Broker.Sessions.Stored;
using IotHub.Core.Messages;

namespace IotHub.Broker.Sessions;

/// <content>From a log to hubs and sessions as they were, before the first client.</content>
public sealed partial class Lane
{
    /// <summary>
    /// Time that may have passed while the machine was off, as the wall clock has it. More is not believed: a clock that was set a year
    /// ahead must not end every session.
    /// </summary>
    private static readonly TimeSpan LongestOff = TimeSpan.FromDays(7);

    /// <summary>Messages that are owed to routes and were not taken yet, or not before the broker ended: offered in this order.</summary>
    private readonly Queue<(Guid HubId, Guid MessageId)> _offerAgain = [];
    private long _cleanFromBytes;
    private Func<BootClock> _bootClock = BootClock.Read;

    /// <summary>Why hubs of this lane are not served: its log is damaged. Null as a rule.</summary>
    public string? Damage { get; private set; }

    /// <summary>Opens the log of this lane's shard and takes over what it tells. Once, before the first client.</summary>
    /// <exception cref="StartException">The files are missing, or were written by a newer broker.</exception>
    /// <exception cref="IOException">The disk cannot be read.</exception>
    /// <remarks>Damage inside is not thrown: then <see cref="Damage"/> says what it is, and the lane's hubs are not served.</remarks>
    public RecoveryReport? Open(IShardFiles files, LogOptions options, Func<BootClock> bootClock)
    {
        var recovered = new RecoveredShard(Broker.Limits.RememberedMessageIdsPerHub);
        ShardLog log;
        try
        {
            log = ShardLog.Open(files, options, recovered.Apply);
        }
        catch (DamagedLogException e)
        {
            Damage = e.Message;
            return null;
        }
        catch (InvalidDataException e)
        {
            throw new StartException($"{files.Name}: {e.Message}", e);
        }
        recovered.Complete();
        (_bootClock, _cleanFromBytes) = (bootClock, options.CleanFromBytes);
        var boot = bootClock();
        _startsAt = ClockAtStart(recovered, boot, log.LastClock) - (long)Broker.Time.GetElapsedTime(_start).TotalMilliseconds;
        Journal = new Journal(log, recovered.NextSession, Broker.Limits.UncommittedBytesPerShardMaximum);
        Enter();
        try
        {
            Journal.Clock(boot, Now);
            Restore(recovered);
        }
        finally
        {
            Leave();
        }
        return log.Recovery;
    }

    public void CloseLog() => Journal?.Log.Dispose();

    /// <summary>Offers a message whose record is on disk now, behind those that wait longer.</summary>
    internal void OfferOwed(Hub hub, DeviceMessage routed, OwedRoutes owed)
    {
        Enter();
        try
        {
            // Its hub may have ended since.
            if (Journal!.Owed.ContainsKey((hub.Id, routed.Id)) && (_offerAgain.Count > 0 || !hub.Offer(routed, owed)))
            {
                _offerAgain.Enqueue((hub.Id, routed.Id));
            }
        }
        finally
        {
            Leave();
        }
    }

    /// <summary>Offers what waits for that, as far as it is taken.</summary>
    private void OfferAgain()
    {
        while (_offerAgain.TryPeek(out var key))
        {
            if (Journal!.Owed.TryGetValue(key, out var owed) && !Broker.HubOn(this, key.HubId).OfferAgain(owed.Position, owed.Routes))
            {
                return;
            }
            _offerAgain.Dequeue();
        }
    }

    /// <summary>In the same boot of the machine its up-time tells how long we were away; else the wall clock, as far as it is believed.</summary>
    private long ClockAtStart(RecoveredShard recovered, BootClock boot, LogClock last)
    {
        if (recovered.Clock is { } then && then.Boot.BootId == boot.BootId && boot.UpMs >= then.Boot.UpMs)
        {
            return Math.Max(last.TimeMs, then.AtMs + boot.UpMs - then.Boot.UpMs);
        }
        var away = Broker.Time.GetUtcNow().ToUnixTimeMilliseconds() - last.WallMs;
        return last.TimeMs + Math.Clamp(away, 0, (long)LongestOff.TotalMilliseconds);
    }

    private void Restore(RecoveredShard recovered)
    {
        foreach (var (hubId, topics) in recovered.Retained)
        {
            foreach (var position in topics.Values)
            {
                Broker.HubOn(this, hubId).RestoreRetained(position);
            }
        }
        foreach (var (hubId, ids) in recovered.Ingested)
        {
            foreach (var (messageId, position) in ids)
            {
                Broker.HubOn(this, hubId).RestoreIngested(messageId, position);
            }
        }
        foreach (var (number, session) in recovered.Sessions)
        {
            Broker.HubOn(this, session.HubId).Restore(number, session);
        }
        foreach (var (key, (position, routes)) in recovered.Owed)
        {
            Journal!.Owe(position, routes);
            _offerAgain.Enqueue(key);
        }
    }
}
