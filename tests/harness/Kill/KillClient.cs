using System.Net.Sockets;
using IotHub.Harness.Mqtt;

namespace IotHub.Harness.Kill;

/// <summary>Comes back whenever the broker is there, and knows whether the broker must know its session.</summary>
internal sealed class KillClient(KilledBroker broker, Ledger ledger, LastingClient client)
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(5);

    /// <summary>Must the broker have the session (true), must it not (false), or may it (null)?</summary>
    public bool? HasSession { get; set; } = false;

    /// <summary>Which start of the broker it is connected to; null where that is not sure.</summary>
    public int? Incarnation { get; private set; }

    /// <summary>Tries until it is connected, if it is not.</summary>
    /// <returns>False when asked to stop first.</returns>
    public async Task<bool> Return(CancellationToken stop, bool cleanStart = false, bool keeps = true)
    {
        while (!stop.IsCancellationRequested)
        {
            if (client.IsConnected || await TryConnect(cleanStart, keeps))
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
        await broker.Ready;
        Incarnation = null;
        var incarnation = broker.Incarnation;
        var must = cleanStart ? false : HasSession;
        if (HasSession == false || cleanStart || !keeps)
        {
            // Until CONNACK says so, nobody knows how far it came.
            HasSession = null;
        }
        try
        {
            var wasPresent = await client.Connect(cleanStart);
            if (must is { } expected && expected != wasPresent)
            {
                ledger.Add(
                    expected ? KillFault.SessionForgotten : KillFault.SessionRemembered,
                    $"{client.Id}: Session Present {(wasPresent ? 1 : 0)} on connection {client.Connections}");
            }
            HasSession = keeps;
            Incarnation = broker.Incarnation == incarnation ? incarnation : null;
            return true;
        }
        catch (Exception e) when (e is SocketException or IOException && !e.Message.Contains("CONNACK", StringComparison.Ordinal))
        {
            // Killed again.
        }
        catch (Exception e) when (e is IOException or TimeoutException)
        {
            ledger.Add(KillFault.Refused, e.Message);
        }
        await client.Cut();
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
            ledger.Add(KillFault.Refused, e.Message);
        }
        catch (TimeoutException e)
        {
            ledger.Add(KillFault.Refused, e.Message);
        }
        catch (IOException)
        {
            // Killed.
        }
        return false;
    }

    /// <summary>What only shows at the end.</summary>
    public void BlameRefusals()
    {
        foreach (var text in new[] { client.Farewell, client.Refused }.OfType<string>())
        {
            ledger.Add(KillFault.Refused, text);
        }
    }
}
