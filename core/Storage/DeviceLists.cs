using IotHub.Core.Domain;

namespace IotHub.Core.Storage;

/// <summary>What a list of devices may be sorted by.</summary>
public enum DeviceOrder { Name, Status, HubId, CreatedAt, UpdatedAt, AllowInsecure }

/// <summary>Which devices are wanted, in which order, and which part of them.</summary>
/// <param name="Hubs">As they were read for this list.</param>
public sealed record DeviceQuery(IReadOnlyList<Hub> Hubs)
{
    /// <summary>Stands somewhere in the name; null for any name.</summary>
    public string? NamePart { get; init; }

    public bool? AllowInsecure { get; init; }
    public DeviceStatus? Status { get; init; }

    /// <summary>All of them.</summary>
    public IReadOnlyList<string> Tags { get; init; } = [];

    public bool? IsConnected { get; init; }
    public DeviceOrder Order { get; init; }
    public bool Descending { get; init; }
    public long Skip { get; init; }
    public int Take { get; init; } = int.MaxValue;

    /// <summary>Nothing is asked of the devices themselves.</summary>
    public bool IsPlain => NamePart is null && AllowInsecure is null && Status is null && Tags.Count == 0 && IsConnected is null;

    /// <param name="connected">The hub's connected devices, if they matter.</param>
    public bool Wants(Device device, IReadOnlySet<Guid>? connected) =>
        (NamePart is null || device.Name.Contains(NamePart, StringComparison.Ordinal))
        && (AllowInsecure ?? device.AllowInsecure) == device.AllowInsecure
        && (Status ?? device.Status) == device.Status
        && Tags.All(tag => device.Tags?.Contains(tag, StringComparer.Ordinal) ?? false)
        && (IsConnected is not { } wanted || wanted == (connected?.Contains(device.Id) ?? false));
}

/// <summary>A part of a list of devices.</summary>
/// <param name="Devices">Without their certificates, which no list shows.</param>
/// <param name="Total">How many there are in all parts together.</param>
public sealed record DevicePage(IReadOnlyList<Device> Devices, long Total);

/// <summary>The orders of devices. Ids break ties upwards in both directions, so that pages never overlap.</summary>
public static class DeviceOrders
{
    public static Comparison<Device> Ascending(DeviceOrder order) => order switch
    {
        DeviceOrder.Name => (a, b) => string.CompareOrdinal(a.Name, b.Name),
        DeviceOrder.Status => (a, b) => string.CompareOrdinal(a.Status.ToString(), b.Status.ToString()),
        DeviceOrder.HubId => (a, b) => a.HubId.CompareTo(b.HubId),
        DeviceOrder.CreatedAt => (a, b) => a.CreatedAt.CompareTo(b.CreatedAt),
        DeviceOrder.UpdatedAt => (a, b) => a.UpdatedAt.CompareTo(b.UpdatedAt),
        DeviceOrder.AllowInsecure => (a, b) => a.AllowInsecure.CompareTo(b.AllowInsecure),
        _ => throw new ArgumentOutOfRangeException(nameof(order), order, null),
    };

    public static IComparer<Device> Of(DeviceOrder order, bool descending)
    {
        var (ascending, sign) = (Ascending(order), descending ? -1 : 1);
        return Comparer<Device>.Create((a, b) => ascending(a, b) is var result && result != 0 ? sign * result : a.Id.CompareTo(b.Id));
    }
}
