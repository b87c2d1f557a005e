using System.Text;
using IotHub.Broker.Sessions;
using IotHub.Broker.Topics;
using IotHub.Core.Messages;
using IotHub.Harness.Mqtt;

namespace IotHub.Harness.Simulation;

/// <content>What may not be.</content>
public sealed partial class SimulationModel
{
    /// <summary>After each step: the broker has the sessions that there must be.</summary>
    public void CheckSessions()
    {
        var there = broker.Hub.Sessions.Values;
        foreach (var session in there)
        {
            Check(Sessions.TryGetValue(session.Key.ClientId, out var known), $"{session.Key.ClientId} has a session that should be gone");
            Check(known!.IsOnline == session.Connection is not null, $"{session.Key.ClientId} is not as connected as it should be");
        }
        Check(there.Count == Sessions.Count, "a session is missing");
    }

    /// <summary>The broker was started anew; <paramref name="ended"/> commits had ended before.</summary>
    public void Crashed(long ended)
    {
        var found = broker.Hub.Sessions.Values.ToDictionary(s => s.Number);
        foreach (var session in Sessions.Values.Where(s => s.Number == 0))
        {
            foreach (var filter in session.Filters.Keys.Where(SharedFilter.IsShared))
            {
                LeaveGroup(filter);
            }
        }
        foreach (var session in Sessions.Values.Where(s => s.Number != 0))
        {
            Check(!session.IsConfirmed || found.ContainsKey(session.Number), $"the session of {session.ClientId} is gone, and it was connected");
        }
        var candidates = Sessions.Values.Concat(_ended.Where(s => s.EndedAt > ended)).Where(s => s.Number != 0).ToList();
        Sessions.Clear();
        // In the broker's order, in which wills that are due at once are published.
        foreach (var there in found.Values)
        {
            var session = candidates.Find(s => s.Number == there.Number && s.ClientId == there.Key.ClientId)
                ?? throw new SimulationException($"a session that ended has come back: {there.Key.ClientId}");
            Adopt(session, there, ended);
            Sessions.Add(session.ClientId, session);
        }
        _ended.Clear();
        AdoptRetained(ended);
        foreach (var message in _messages)
        {
            Doubt(message.OwedToGroup, ended);
        }
    }

    private void Adopt(ModelSession session, Session there, long ended)
    {
        foreach (var (filter, known) in session.Filters.ToList())
        {
            var now = there.Subscriptions.TryGetValue(filter, out var subscription)
                ? new ModelSubscription(subscription.Options.Qos, subscription.Options.NoLocal, subscription.Options.RetainAsPublished, 0)
                : new ModelSubscription(null, false, false, 0);
            Check(!known.IsConfirmed || known.IsSameAs(now), $"{session.ClientId} was told {filter} at {known}, now it is {now}");
            session.Filters[filter] = now with { IsConfirmed = known.IsConfirmed };
        }
        foreach (var owed in session.Owed.Values)
        {
            Doubt(owed, ended);
        }
        foreach (var (id, seen) in session.Seen.ToList())
        {
            session.Seen[id] = seen.AckedAt > ended ? (seen.Number, long.MaxValue) : (seen.Number, 0);
        }
        (session.IsOnline, session.EndedAt, session.ExpirySeconds) = (false, long.MaxValue, there.ExpirySeconds);
        (session.ExpiresAt, session.WillAt) = (there.ExpiresAt, there.WillAt);
        session.Will = there.DelayedWill is { } will ? _messages[NumberOf(Encoding.UTF8.GetString(will.Payload))] : null;
        session.WillDelay = there.DelayedWill?.DelaySeconds ?? 0;
    }

    private static void Doubt(OwedMessage? owed, long ended)
    {
        if (owed is not null && owed.Moment > ended && !owed.IsAcknowledged)
        {
            owed.Must = false;
        }
    }

    private void AdoptRetained(long ended)
    {
        // One that has expired is nobody's, there or not.
        var found = broker.Hub.Retained.Matching("#").Where(m => m.ExpiresAt > broker.Lane.Now).ToDictionary(
            m => Encoding.UTF8.GetString(m.Topic), m => _messages[NumberOf(Encoding.UTF8.GetString(m.Payload))]);
        foreach (var (topic, (message, moment, isConfirmed)) in _retained)
        {
            Check(
                !(isConfirmed || moment <= ended) || HasExpired(message)
                || found.GetValueOrDefault(topic) == (message.IsEmpty ? null : message),
                $"{topic} kept {message}, and it was acknowledged; now {found.GetValueOrDefault(topic)?.ToString() ?? "nothing"}");
        }
        _retained = found.ToDictionary(f => f.Key, f => (f.Value, broker.Moment, true));
    }

    /// <summary>A client got a PUBLISH that it does not know as a repeat; <paramref name="at"/> is when it was written at the earliest.</summary>
    public void Delivered(ModelSession session, ReceivedPublish publish, long at)
    {
        var number = NumberOf(publish.Payload);
        Check(number < _messages.Count, $"{session.ClientId} got {publish.Payload}, which nobody sent");
        var message = _messages[number];
        var what = $"{session.ClientId} got {message}";
        Check(publish.Topic == message.Topic, $"{what} on {publish.Topic}");
        Check(publish.Dup || message.ExpiresLast > at, $"{what}, {at - message.ExpiresLast} ms after it expired");
        if (message.IsShared && (!publish.Retain || (message.Retain && session.WasAsPublishedInGroup)))
        {
            DeliveredOfGroup(session, message, what);
            return;
        }
        if (!session.Owed.TryGetValue((number, publish.Retain), out var owed))
        {
            throw new SimulationException($"{what}{(publish.Retain ? " as retained" : "")}, which is none of its business");
        }
        Check(owed.Qos.Contains(publish.Qos), $"{what} at {publish.Qos}");
        Check(++owed.Delivered <= owed.Allowed, $"{what} for the {owed.Delivered}. time; {owed.Allowed} were due");
        if (owed.Delivered > 1 || publish.Qos == 0 || owed.IsFromRetained)
        {
            return;
        }
        var last = session.Order.GetValueOrDefault((message.Publisher, message.Topic));
        Check(owed.Last > last, $"{what} behind a later one");
        session.Order[(message.Publisher, message.Topic)] = Math.Max(last, owed.First);
    }

    private static void DeliveredOfGroup(ModelSession session, SimulatedMessage message, string what)
    {
        Check(
            session.Filters.Keys.Any(f => SharedFilter.IsShared(f) && TopicFilter.Matches(SharedFilter.Parse(f)!.TopicFilter, message.Topic)),
            $"{what}, and is in no such group");
        var owed = message.OwedToGroup!;
        owed.Delivered++;
        // At QoS 1 what a member that went away had not acknowledged went to another.
        Check(message.Qos != 2 || owed.Qos.Min() < 2 || owed.Delivered <= owed.Allowed, $"{what}, and somebody had it");
    }

    /// <summary>At the end, when every session was asked for all it has.</summary>
    public void CheckAllDelivered()
    {
        foreach (var session in Sessions.Values)
        {
            foreach (var owed in session.Owed.Values.Where(o => o.Must && o.Delivered == 0 && !HasExpired(o.Message)))
            {
                throw new SimulationException($"{session.ClientId} never got {owed.Message}{(owed.IsAcknowledged ? ", and it was acknowledged" : "")}");
            }
        }
        if (_messages.Find(m => m.OwedToGroup is { Must: true, Delivered: 0 } && !HasExpired(m)) is { } lost)
        {
            throw new SimulationException($"no member of the group got {lost}");
        }
    }

    /// <summary>At the end, when nothing is owed to routes any more.</summary>
    public void CheckRoutes(SimulatedRoutes routes)
    {
        foreach (var message in _messages.Where(m => m.Qos > 0 && !m.IsEmpty && IsRouted(m)))
        {
            var stored = routes.Stored(message);
            Check(!message.IsAcknowledged || stored > 0, $"the route never got {message}, and it was acknowledged");
            Check(stored <= (message.Qos == 2 ? 1 : message.Taken), $"the route got {message} under {stored} ids");
        }
    }

    private bool HasExpired(SimulatedMessage message) => message.ExpiresFirst <= broker.Lane.Now;
}
