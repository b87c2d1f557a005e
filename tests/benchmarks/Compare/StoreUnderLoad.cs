namespace IotHub.Benchmarks.Compare;

/// <summary>How a broker under load keeps sessions and their messages, without limits on how many.</summary>
/// <param name="Name">Of the broker in tables.</param>
/// <param name="Arguments">Of our command line, or lines of Mosquitto's configuration.</param>
internal sealed record StoreUnderLoad(string Name, IReadOnlyList<string> Arguments)
{
    public const string OursName = "ours", MemoryName = "ours, in memory", MosquittoName = "Mosquitto", SavingName = "Mosquitto, saving at each change";

    private static readonly string[] NoQuotas =
        ["--queue-messages", "2000000000", "--queue-bytes", "1000000000000", "--hub-bytes", "1000000000000"];

    /// <summary>A memory control group that the process enters before it starts; null for none.</summary>
    public string? MemoryGroup { get; init; }

    /// <summary>Everything acknowledged is in its log.</summary>
    public static StoreUnderLoad Ours(string folder) => new(OursName, ["--data", folder, .. NoQuotas]);

    public static StoreUnderLoad Memory { get; } = new(MemoryName, NoQuotas);

    /// <summary>Persistence as a Mosquitto has it when it is switched on: all of it saved every half an hour, at its end and when asked.</summary>
    public static StoreUnderLoad Mosquitto(string folder) =>
        new(MosquittoName, ["persistence true", $"persistence_location {folder}/", "autosave_interval 1800"]);

    /// <summary>As often as it can: after each round of its loop that changed anything.</summary>
    public static StoreUnderLoad Saving(string folder) => new(
        SavingName, ["persistence true", $"persistence_location {folder}/", "autosave_interval 1", "autosave_on_changes true"]);
}
