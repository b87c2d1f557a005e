using IotHub.Local.Processes;

namespace IotHub.Local.Launch;

/// <summary>Which port is whose.</summary>
public sealed record Ports(int Api, int Mqtt, int MqttTls, int Ws, int Wss, int Internal, int Blobs, int Queues, int Tables)
{
    public const int Count = 9;
    public const int DefaultBase = 7071;

    public static Ports From(int basePort)
    {
        var p = basePort == 0 ? LoopbackPorts.TakeFree(Count) : [.. Enumerable.Range(basePort, Count)];
        return new Ports(p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8]);
    }

    /// <exception cref="LaunchException">One of them is in use.</exception>
    public void MustBeFree()
    {
        (int Port, string Name)[] all =
        [
            (Api, "API"), (Mqtt, "MQTT"), (MqttTls, "MQTT over TLS"), (Ws, "WebSocket"), (Wss, "WebSocket over TLS"),
            (Internal, "broker, internal"), (Blobs, "blobs"), (Queues, "queues"), (Tables, "tables"),
        ];
        var taken = all.Where(p => !LoopbackPorts.IsFree(p.Port)).Select(p => $"{p.Port} ({p.Name})").ToList();
        if (taken.Count > 0)
        {
            throw new LaunchException(
                $"{(taken.Count == 1 ? "Port" : "Ports")} {string.Join(", ", taken)} {(taken.Count == 1 ? "is" : "are")} in use: " +
                "stop what uses it, or take other ports with --base-port N (0 takes free ones).");
        }
    }
}
