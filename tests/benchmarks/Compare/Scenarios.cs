using IotHub.Benchmarks.Load;

namespace IotHub.Benchmarks.Compare;

/// <summary>A load that every broker gets in turn.</summary>
/// <param name="Fresh">In a process of its own, so that memory is that of the connections.</param>
/// <param name="OursOnly">Mosquitto would have to be set up in a way that is not comparable.</param>
internal sealed record Scenario(string Name, LoadOptions Options, bool Fresh = false, bool OursOnly = false);

internal enum Against
{
    /// <summary>The figure itself.</summary>
    Nothing,

    /// <summary>Ours divided by Mosquitto's.</summary>
    Mosquitto,

    /// <summary>Ours divided by ours in another scenario.</summary>
    Ourselves,
}

/// <summary>One row of the verdict: a figure of a scenario, what it must stay within and what it aims at (design, section 6).</summary>
internal sealed record Measure(
    string Name, string Scenario, Func<LoadResult, double> Figure, string Unit, Against Against, double? Must, double? Aims,
    string? Baseline = null);

/// <summary>What is run and what is asked of it.</summary>
internal static class Scenarios
{
    private const string FanIn = "fan-in QoS 0", FanOut = "fan-out QoS 0 (100)";
    private const string Pairs0 = "pairs QoS 0", Pairs1 = "pairs QoS 1", Pairs2 = "pairs QoS 2";
    private const string Paced0 = "paced 20,000/s QoS 0", Paced1 = "paced 20,000/s QoS 1";
    private const string Crowd = "paced 20,000/s QoS 0 beside 2,000 idle", Filters = "paced 20,000/s QoS 0, 20,000 more filters";
    private const string Pairs1V5 = "pairs QoS 1, MQTT 5", PairsTls = "pairs QoS 0, TLS", PacedTls = "paced 20,000/s QoS 0, TLS";
    private const string Idle = "10,000 idle", IdleTls = "3,000 idle, TLS", IdleMutual = "1,000 idle, mutual TLS";

    private static readonly LoadOptions Pair = new() { Mode = LoadMode.Pair, Subscribers = 50 };
    private static readonly LoadOptions Paced = new() { Mode = LoadMode.Pair, Publishers = 20, Subscribers = 20, Rate = 20_000, Batch = 1 };
    private static readonly LoadOptions Storm = new() { Mode = LoadMode.Storm };

    public static IReadOnlyList<Scenario> All(bool quick) =>
    [
        new(FanIn, Timed(Pair with { Mode = LoadMode.FanIn, Subscribers = 1 })),
        new(FanOut, Timed(Pair with { Mode = LoadMode.FanOut, Publishers = 1, Subscribers = 100 })),
        new(Pairs0, Timed(Pair)),
        new(Pairs1, Timed(Pair with { Qos = 1 })),
        new(Pairs2, Timed(Pair with { Qos = 2 })),
        new(Paced0, Timed(Paced)),
        // Next to the one without them, so that a busy minute meets all three. Paced: a closed loop batches by how busy it is.
        new(Crowd, Timed(Paced with { Crowd = quick ? 500 : 2_000 })),
        new(Filters, Timed(Paced with { Filters = quick ? 5_000 : 20_000 })),
        new(Paced1, Timed(Paced with { Qos = 1 })),
        new(Pairs1V5, Timed(Pair with { Qos = 1, IsV5 = true })),
        new(PairsTls, Timed(Pair with { Tls = true })),
        new(PacedTls, Timed(Paced with { Tls = true })),
        new(Idle, Storm with { Connections = quick ? 2_000 : 10_000 }, Fresh: true),
        new(IdleTls, Storm with { Connections = quick ? 500 : 3_000, Tls = true }, Fresh: true),
        new(
            IdleMutual, Storm with { Connections = quick ? 200 : 1_000, Tls = true, ClientCertificate = true },
            Fresh: true, OursOnly: true),
    ];

    public static readonly IReadOnlyList<Measure> Measures =
    [
        Cpu(FanIn, 0.09, 0.06), Cpu(FanOut, 0.05, 0.034), Cpu(Pairs0, 0.12, 0.08), Cpu(Pairs1, 0.115, 0.075), Cpu(Pairs2, 0.10, 0.06),
        Cpu(Paced0, 0.8, 0.53), Cpu(Paced1, 1.0, 0.72),
        Latency("p50", Paced0, r => r.P50, 1.0, null), Latency("p99", Paced0, r => r.P99, 0.5, 0.2),
        Latency("p50", Paced1, r => r.P50, 1.0, null), Latency("p99", Paced1, r => r.P99, 0.5, 0.2),
        Beside(Crowd), Beside(Filters),
        Cpu(Pairs1V5, null, null), Cpu(PairsTls, null, null), Cpu(PacedTls, null, null),
        Absolute("memory per idle connection", Idle, r => r.BytesPerConnection, "B", 3_072, 1_280),
        Absolute("memory per idle connection", IdleTls, r => r.BytesPerConnection, "B", 53 * 1_024, 47 * 1_024),
        Absolute("CPU per connect", Idle, r => r.CpuPerMillion, "µs", 55, 37),
        Absolute("CPU per connect", IdleTls, r => r.CpuPerMillion, "µs", 1_600, 1_100),
        Absolute("CPU per connect", IdleMutual, r => r.CpuPerMillion, "µs", 4_000, 3_100),
    ];

    /// <summary>A short run first, so that neither compilation nor growing tables are measured.</summary>
    public static LoadOptions WarmUp(LoadOptions options) => options with { Warmup = 0.5, Seconds = 1 };

    private static LoadOptions Timed(LoadOptions options) => options with { Warmup = 0.7, Seconds = 2 };

    private static Measure Cpu(string scenario, double? must, double? aims) =>
        new(scenario, scenario, r => r.CpuPerMillion, "µs", Against.Mosquitto, must, aims);

    private static Measure Latency(string name, string scenario, Func<LoadResult, double> figure, double must, double? aims) =>
        new($"{name} of {scenario}", scenario, figure, "µs", Against.Mosquitto, must, aims);

    private static Measure Beside(string scenario) =>
        new(scenario, scenario, r => r.CpuPerMillion, "µs", Against.Ourselves, 1.1, 1.0, Paced0);

    private static Measure Absolute(string name, string scenario, Func<LoadResult, double> figure, string unit, double must, double aims) =>
        new($"{name}, {scenario}", scenario, figure, unit, Against.Nothing, must, aims);
}
