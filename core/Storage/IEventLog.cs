using IotHub.Core.Messages;

namespace IotHub.Core.Storage;

/// <param name="Id">The same again, at the same time, is the same event.</param>
public sealed record LoggedEvent(string Id, HubEvent Happened);

/// <param name="Next">Where the following page begins; null when there is none.</param>
public sealed record EventPage(IReadOnlyList<HubEvent> Events, string? Next);

/// <summary>What happened on hubs, newest first, for a while.</summary>
/// <exception cref="RegistryUnavailableException">Storage did not answer.</exception>
public interface IEventLog
{
    /// <summary>Stores events of a hub. The same id again changes nothing, so a repeat of a queue message is harmless.</summary>
    Task Append(Guid hubId, IReadOnlyList<LoggedEvent> happened, CancellationToken cancel = default);

    /// <summary>Events of a hub, newest first.</summary>
    /// <param name="before">The <see cref="EventPage.Next"/> of the page before; null for the newest.</param>
    /// <exception cref="FormatException"><paramref name="before"/> is not a position.</exception>
    Task<EventPage> Newest(Guid hubId, int maximum, string? before = null, CancellationToken cancel = default);

    /// <summary>Drops events older than <paramref name="before"/>.</summary>
    Task Trim(DateTimeOffset before, CancellationToken cancel = default);

    Task DeleteHub(Guid hubId, CancellationToken cancel = default);
}

/// <summary>Which routes are failing at the moment, so that an outage raises one event and not one per message and instance.</summary>
/// <exception cref="RegistryUnavailableException">Storage did not answer.</exception>
public interface IFailureEpisodes
{
    /// <summary>A delivery failed at <paramref name="now"/>.</summary>
    /// <param name="quiet">An episode without a failure for longer than this is over, even if nothing ended it.</param>
    /// <returns>True when this begins an episode.</returns>
    Task<bool> Failed(Guid hubId, Guid routeId, DateTimeOffset now, TimeSpan quiet, CancellationToken cancel = default);

    /// <summary>A delivery got through that had failed before.</summary>
    Task Ended(Guid hubId, Guid routeId, CancellationToken cancel = default);
}
