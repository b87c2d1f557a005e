using System.Globalization;
using IotHub.Core.Messages;
using IotHub.Core.Queues;

namespace IotHub.Functions.Routes.Delivery;

/// <summary>
/// A delivery that was given up, as it stands in the dead-letters container: everything needed to read why, and to deliver it again.
/// Format: docs/formats/queues.md.
/// </summary>
public sealed record DeadLetter
{
    public const int CurrentVersion = 1;
    public int Version { get; init; } = CurrentVersion;
    public required Guid HubId { get; init; }
    public required Guid RouteId { get; init; }

    /// <summary>The outcome of the last try, as in the hub event.</summary>
    public required string Reason { get; init; }

    /// <summary>Tries, the last one included.</summary>
    public required int Attempts { get; init; }

    public required DateTimeOffset GivenUpAt { get; init; }

    /// <summary>Always with its payload inline.</summary>
    public required EnvelopeMessage Message { get; init; }
}

/// <summary>Where deliveries go that were given up.</summary>
public sealed class DeadLetters(IPayloads container)
{
    /// <summary>By hub and route, then by time; the same for every repeat.</summary>
    public static string NameOf(DeadLetter letter) => string.Create(
        CultureInfo.InvariantCulture,
        $"{letter.HubId}/{letter.RouteId}/{letter.Message.ReceivedAt.UtcDateTime:yyyyMMdd'T'HHmmss.fffffff'Z'}-{letter.Message.Id}.json");

    /// <exception cref="QueueUnavailableException">Storage did not take it.</exception>
    public Task Put(DeadLetter letter, CancellationToken cancel) => container.Put(NameOf(letter), EnvelopeJson.Write(letter), cancel);
}
