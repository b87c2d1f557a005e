using System.Text.Json;

namespace IotHub.Benchmarks.Load;

/// <summary>What one run measured. Counts of messages are over the whole run, figures over the seconds after the warm-up.</summary>
internal sealed record LoadResult
{
    private static readonly JsonSerializerOptions Json = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    public required string Mode { get; init; }
    public int Version { get; init; }
    public bool Tls { get; init; }
    public int Qos { get; init; }
    public double Rate { get; init; }
    public int Connections { get; init; }
    public long Sent { get; init; }
    public long Acked { get; init; }
    public long Expected { get; init; }
    public long Received { get; init; }
    public long Lost { get; init; }
    public long Doubled { get; init; }
    public long Reordered { get; init; }
    public double Seconds { get; init; }
    public double PerSecond { get; init; }
    public double CpuSeconds { get; init; }
    public double CpuUserSeconds { get; init; }
    public double CpuSystemSeconds { get; init; }

    /// <summary>CPU seconds of the broker per million deliveries, or per million connects: the same as µs for one.</summary>
    public double CpuPerMillion { get; init; }
    public double AckedPerSecond { get; init; }

    /// <summary>CPU seconds of the broker per million acknowledged publishes.</summary>
    public double CpuPerMillionAcked { get; init; }
    public double AckP50 { get; init; }
    public double AckP99 { get; init; }

    /// <summary>What waited for sessions, a second, once their clients were back.</summary>
    public double FetchedPerSecond { get; init; }
    public double GeneratorCpuSeconds { get; init; }
    public double P50 { get; init; }
    public double P99 { get; init; }
    public double P999 { get; init; }
    public long RssKb { get; init; }
    public long PeakRssKb { get; init; }
    public double BytesPerConnection { get; init; }
    public string? Problem { get; init; }

    public bool IsSound => Problem is null && Lost == 0 && Doubled == 0 && Reordered == 0;

    public string ToJson() => JsonSerializer.Serialize(this, Json);
}
