using System.Globalization;
using System.Text;
using IotHub.Broker.Sessions;
using IotHub.Broker.Sessions.Stored;

namespace IotHub.Harness.Simulation;

/// <summary>
/// What a lane must have kept of this moment when it is read back from its log: written down as text, line by line, so that two
/// moments can be compared and a difference be read.
/// </summary>
public sealed class DurableState
{
    private readonly SortedDictionary<string, string> _lines = new(StringComparer.Ordinal);
    private readonly SortedDictionary<long, Presence> _presence = [];

    /// <summary>Lines of retained messages that end: one that has is forgotten without a word.</summary>
    private readonly Dictionary<string, long> _expire = [];

    private sealed record Presence(bool IsOnline, uint ExpirySeconds, long ExpiresAt, string Will, long WillDelayMs, long WillAt);

    public static DurableState Of(Lane lane)
    {
        var state = new DurableState();
        var now = lane.Now;
        foreach (var hub in lane.Hubs.Values)
        {
            foreach (var session in hub.Sessions.Values.Where(s => s.IsStored))
            {
                state.Add(lane, session);
            }
            foreach (var message in hub.Retained.Matching("#").Where(m => m.Position != 0))
            {
                var key = $"retained {Text(message.Topic)}";
                state._lines[key] = $"{Head(message.Payload)} qos {message.Qos} expires {message.ExpiresAt} by {message.RetainedBy}";
                state._expire[key] = message.ExpiresAt;
            }
        }
        foreach (var ((_, id), (position, routes)) in lane.Journal!.Owed)
        {
            state._lines[$"owed {id}"] = $"{Read(lane, position)} to {routes.Routes.Length}";
        }
        state.Now = now;
        return state;
    }

    /// <summary>Lane time of this moment.</summary>
    public long Now { get; private set; }

    /// <summary>Null when <paramref name="found"/>, read back from the log, is this state.</summary>
    public string? DifferenceTo(DurableState found)
    {
        foreach (var (key, line) in _lines)
        {
            if (!found._lines.TryGetValue(key, out var other))
            {
                if (_expire.GetValueOrDefault(key, long.MaxValue) <= found.Now)
                {
                    continue;
                }
                return $"missing: {key}: {line}";
            }
            if (line != other)
            {
                return $"{key}: was \"{line}\", is \"{other}\"";
            }
        }
        if (found._lines.Keys.FirstOrDefault(
            key => !_lines.ContainsKey(key) && found._expire.GetValueOrDefault(key, long.MaxValue) > found.Now) is { } more)
        {
            return $"too much: {more}: {found._lines[more]}";
        }
        foreach (var (number, then) in _presence)
        {
            if (Expected(then, found.Now) is var expected && found._presence[number] is var is_ && expected != is_)
            {
                return $"session {number}: expected {expected}, is {is_}";
            }
        }
        return null;
    }

    /// <summary>A connection is lost with the process: will and expiry count from the start on.</summary>
    private static Presence Expected(Presence then, long now) => !then.IsOnline ? then : then with
    {
        IsOnline = false,
        ExpiresAt = then.ExpirySeconds == uint.MaxValue ? long.MaxValue : now + (then.ExpirySeconds * 1000L),
        WillAt = then.Will.Length == 0 ? long.MaxValue : now + Math.Min(then.WillDelayMs, then.ExpirySeconds * 1000L),
    };

    private void Add(Lane lane, Session session)
    {
        var name = $"session {session.Number} {session.Key.ClientId}";
        _lines[name] = "is there";
        foreach (var subscription in session.Subscriptions.Values)
        {
            var options = subscription.Options;
            _lines[$"{name} subscribed {subscription.Filter}"] =
                $"qos {options.Qos}{(options.NoLocal ? " no local" : "")}{(options.RetainAsPublished ? " as published" : "")}"
                + $" handling {options.RetainHandling} id {subscription.Id}";
        }
        if (session.IncomingQos2 is { Count: > 0 } incoming)
        {
            _lines[$"{name} came"] = string.Join(' ', incoming.Order());
        }
        foreach (var (order, packetId) in session.HasInFlight ? session.InFlight.Released() : [])
        {
            _lines[$"{name} released {order:D6}"] = $"#{packetId}";
        }
        var queue = session.Stored;
        for (var sequence = queue.First; sequence < queue.Next; sequence = queue.FindLive(sequence + 1))
        {
            var entry = queue[sequence];
            var extra = queue.ExtraOf(sequence);
            var packetId = session.HasInFlight ? session.InFlight.IdOf(sequence) : (ushort)0;
            _lines[$"{name} owes {sequence:D6}"] = string.Create(
                CultureInfo.InvariantCulture,
                $"{Read(lane, entry.Position)} at qos {entry.Qos} of {entry.PublishedQos}{(entry.Retain ? " retain" : "")}"
                + $" as #{packetId} ids {string.Join(',', extra?.SubscriptionIds ?? [])} {extra?.ShareFilter}");
        }
        var will = session.Connection?.Connect.Will ?? session.DelayedWill;
        _presence[session.Number] = new Presence(
            session.Connection is not null, session.ExpirySeconds, session.ExpiresAt,
            will is null ? "" : $"{will.Topic} {Head(will.Payload)} {will.Qos} {will.Retain}", (will?.DelaySeconds ?? 0) * 1000L, session.WillAt);
    }

    private static string Read(Lane lane, long position)
    {
        byte[] body = [];
        var length = lane.Journal!.Log.TryRead(position, ref body, out var kind);
        if (length < 0 || kind != (byte)RecordKind.Message)
        {
            return $"nothing at {position}";
        }
        var message = MessageRecord.Read(body.AsSpan(0, length));
        return $"{Text(message.Topic)}={Head(message.Payload)} expires {message.ExpiresAt}";
    }

    private static string Text(ReadOnlySpan<byte> bytes) => Encoding.UTF8.GetString(bytes);

    /// <summary>The number of the message, which the padding follows.</summary>
    private static string Head(ReadOnlySpan<byte> payload)
    {
        var end = payload.IndexOf((byte)' ');
        return Text(end < 0 ? payload : payload[..end]);
    }
}
