using System.Net.Sockets;
using IotHub.Harness.Mqtt;

namespace IotHub.Harness.Kill;

/// <summary>
/// Comes back whenever the broker is there, each time by any of the transports, and knows whether the broker must know its session.
/// </summary>
internal sealed class KillClient
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(5);
    private readonly KilledBroker _broker;
    private readonly Ledger _ledger;
    private readonly LastingClient _client;

    public KillClient(KilledBroker broker, Ledger ledger, LastingClient client)
    {
        (_broker, _ledger, _client) = (broker, ledger, client);
        client.OnLost = () =>
        {
            if (Incarnation is { } incarnation && broker.RunsSince(incarnation))
            {
                ledger.Add(
                    KillFault.ConnectionLost, $"{client.Id}: connection {client.Connections} over {client.Door.Via} ended without a kill");
            }
        };
    }

    /// <summary>Must the broker have the session (true), must it not (false), or may it (null)?</summary>
    public bool? HasSession { get; set; } = false;

    /// <summary>What the last CONNACK said.</summary>
    public bool WasPresent { get; private set; }

    /// <summary>Which start of the broker it is connected to; null where that is not sure.</summary>
    public int? Incarnation { get; private set; }

    /// <summary>Tries until it is connected, if it is not.</summary>
    /// <returns>False when asked to stop first.</returns>
    public async Task<bool> Return(CancellationToken stop, bool cleanStart = false, bool keeps = true)
    {
        while (!stop.IsCancellationRequested)
        {
            if (_client.IsConnected || await TryConnect(cleanStart, keeps))
            {
                return true;
            }
            await Task.Delay(Pause, CancellationToken.None);
        }
        return false;
    }

    /// <summary>One try, once the broker is ready.</summary>
    public async Task<bool> TryConnect(bool cleanStart = false, bool keeps = true)
    {
        await _broker.Ready;
        Incarnation = null;
        var incarnation = _broker.Incarnation;
        var must = cleanStart ? false : HasSession;
        _client.Door = _broker.AnyDoor();
        if (HasSession == false || cleanStart || !keeps)
        {
            // Until CONNACK says so, nobody knows how far it came.
            HasSession = null;
        }
        try
        {
            WasPresent = await _client.Connect(cleanStart);
            if (must is { } expected && expected != WasPresent)
            {
                _ledger.Add(
                    expected ? KillFault.SessionForgotten : KillFault.SessionRemembered,
                    $"{_client.Id}: Session Present {(WasPresent ? 1 : 0)} on connection {_client.Connections}");
            }
            _ledger.Opened(_client.Door.Via);
            HasSession = keeps;
            Incarnation = _broker.Incarnation == incarnation ? incarnation : null;
            return true;
        }
        catch (SocketException)
        {
            // Killed before anybody listened.
        }
        catch (IOException e) when (!e.Message.Contains("CONNACK", StringComparison.Ordinal))
        {
            // Killed again, if it was.
            if (_broker.RunsSince(incarnation))
            {
                _ledger.Add(KillFault.ConnectionLost, $"{_client.Id}: no connection over {_client.Door.Via}: {e.Message}");
            }
        }
        catch (Exception e) when (e is IOException or TimeoutException)
        {
            _ledger.Add(KillFault.Refused, e.Message);
        }
        await _client.Cut();
        return false;
    }

    /// <summary>Runs requests of a connected client; false when the connection ended meanwhile.</summary>
    public async Task<bool> Try(Func<Task> requests)
    {
        try
        {
            await requests();
            return true;
        }
        catch (IOException e) when (e.Message.Contains("code 0x", StringComparison.Ordinal))
        {
            _ledger.Add(KillFault.Refused, e.Message);
        }
        catch (TimeoutException e)
        {
            _ledger.Add(KillFault.Refused, e.Message);
        }
        catch (IOException)
        {
            // Killed.
        }
        return false;
    }

    /// <summary>So long, or until it is asked to end; no exception then.</summary>
    public static Task Wait(int milliseconds, CancellationToken cancel) =>
        Task.Delay(milliseconds, cancel).ContinueWith(_ => { }, TaskScheduler.Default);

    /// <summary>What only shows at the end.</summary>
    public void BlameRefusals()
    {
        foreach (var text in new[] { _client.Farewell, _client.Refused }.OfType<string>())
        {
            _ledger.Add(KillFault.Refused, text);
        }
    }
}
