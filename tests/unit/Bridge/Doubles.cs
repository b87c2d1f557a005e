using IotHub.Core.Storage;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace IotHub.Unit.Bridge;

/// <summary>A feed whose writers' clock is behind.</summary>
internal sealed class LateFeed(IChangeFeed inner) : IChangeFeed
{
    private readonly List<RegistryChange> _late = [];

    public TimeSpan Behind { get; init; }

    public async Task Append(Guid hubId, ChangedKind kind, Guid id, CancellationToken cancel = default)
    {
        await inner.Append(hubId, kind, id, cancel);
        var written = (await inner.ReadSince(DateTimeOffset.MinValue, cancel))[^1];
        _late.Add(written with { At = written.At - Behind });
    }

    public Task<IReadOnlyList<RegistryChange>> ReadSince(DateTimeOffset since, CancellationToken cancel = default) =>
        Task.FromResult<IReadOnlyList<RegistryChange>>([.. _late.Where(change => change.At >= since)]);

    public Task Trim(DateTimeOffset before, CancellationToken cancel = default) => inner.Trim(before, cancel);
}

internal static class Logging
{
    public static ILogger<T> None<T>() => NullLogger<T>.Instance;
}
