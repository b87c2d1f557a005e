using IotHub.Core.Domain;

namespace IotHub.Core.Storage;

/// <summary>
/// The devices of one hub, in every order that was asked for so far. It never changes; a change of a device makes another one, which costs
/// copying some arrays of references and no sorting.
/// </summary>
internal sealed class DeviceIndex
{
    /// <summary>What a device with no text takes, with its place in twelve orders.</summary>
    private const int BytesOfDevice = 450;

    /// <summary>More changes than that are sorted in anew, when they are asked for.</summary>
    private const int ChangesOneByOne = 16;

    private static readonly IReadOnlyList<IComparer<Device>> Comparers =
        [.. Enum.GetValues<DeviceOrder>().SelectMany(order => new[] { DeviceOrders.Of(order, false), DeviceOrders.Of(order, true) })];

    private static readonly IComparer<Device> ById = Comparer<Device>.Create((a, b) => a.Id.CompareTo(b.Id));

    private readonly List<Device> _byId;
    private readonly List<Device>?[] _sorted = new List<Device>?[Comparers.Count];

    private DeviceIndex(List<Device> byId, long bytes) => (_byId, Bytes) = (byId, bytes);

    public int Count => _byId.Count;

    /// <summary>About how much memory it takes.</summary>
    public long Bytes { get; }

    public static DeviceIndex Of(IEnumerable<Device> devices)
    {
        var byId = devices.Select(Lean).ToList();
        byId.Sort(ById);
        return new DeviceIndex(byId, byId.Sum(BytesOf));
    }

    /// <summary>What a list shows of a device.</summary>
    public static Device Lean(Device device) => device with
    {
        CertificatePem = "",
        CertificateFingerprint = "",
        Filters = IsDefault(device.Filters.Publish) && IsDefault(device.Filters.Subscribe) ? MessageFilters.AllowAll : device.Filters,
    };

    /// <param name="changes">Ids, and what these devices are now; null for those that are not of this hub.</param>
    public DeviceIndex With(IReadOnlyCollection<(Guid Id, Device? Now)> changes)
    {
        if (changes.Count <= ChangesOneByOne)
        {
            return changes.Aggregate(this, (index, change) => index.With(change.Id, change.Now));
        }
        var devices = _byId.ToDictionary(device => device.Id);
        foreach (var (id, now) in changes)
        {
            if (now is null)
            {
                devices.Remove(id);
            }
            else
            {
                devices[id] = now;
            }
        }
        return Of(devices.Values);
    }

    public DeviceIndex With(Guid id, Device? now)
    {
        var next = now is null ? null : Lean(now);
        var at = PlaceOf(id);
        var before = at < 0 ? null : _byId[at];
        if (before is null && next is null)
        {
            return this;
        }
        var index = new DeviceIndex(Exchange(_byId, before, next, ById), Bytes - BytesOf(before) + BytesOf(next));
        for (var i = 0; i < _sorted.Length; i++)
        {
            index._sorted[i] = Volatile.Read(ref _sorted[i]) is { } sorted ? Exchange(sorted, before, next, Comparers[i]) : null;
        }
        return index;
    }

    /// <summary>The part of a list that is wanted, of the devices of all these hubs together.</summary>
    /// <param name="hubs">The indexes, and which devices are connected if that matters.</param>
    public static DevicePage Cut(IReadOnlyList<(DeviceIndex Index, IReadOnlySet<Guid>? Connected)> hubs, DeviceQuery query)
    {
        var parts = hubs.Select(hub => hub.Index.Matching(query, hub.Connected)).Where(part => part.Count > 0).ToList();
        var total = parts.Sum(part => (long)part.Count);
        if (query.Skip >= total)
        {
            return new DevicePage([], total);
        }
        var (skip, take) = ((int)query.Skip, (int)Math.Min(query.Take, total - query.Skip));
        return new DevicePage(parts.Count == 1 ? parts[0].GetRange(skip, take) : Merge(parts, query).Skip(skip).Take(take).ToList(), total);
    }

    private static bool IsDefault(MessageFilterRule rule) => rule is { Policy: MessageFilterPolicy.Reject, Topics.Count: 0 };

    private static IEnumerable<Device> Merge(List<List<Device>> parts, DeviceQuery query)
    {
        var heads = new PriorityQueue<(List<Device> Part, int At), Device>(Comparer(query));
        foreach (var part in parts)
        {
            heads.Enqueue((part, 0), part[0]);
        }
        while (heads.TryDequeue(out var head, out var first))
        {
            yield return first;
            if (head.At + 1 < head.Part.Count)
            {
                heads.Enqueue((head.Part, head.At + 1), head.Part[head.At + 1]);
            }
        }
    }

    private List<Device> Matching(DeviceQuery query, IReadOnlySet<Guid>? connected)
    {
        ref var place = ref _sorted[Place(query)];
        if (Volatile.Read(ref place) is not { } sorted)
        {
            sorted = new List<Device>(_byId);
            sorted.Sort(Comparer(query));
            Volatile.Write(ref place, sorted);
        }
        return query.IsPlain ? sorted : sorted.FindAll(device => query.Wants(device, connected));
    }

    private static int Place(DeviceQuery query) => ((int)query.Order * 2) + (query.Descending ? 1 : 0);

    private static IComparer<Device> Comparer(DeviceQuery query) => Comparers[Place(query)];

    private static List<Device> Exchange(List<Device> sorted, Device? before, Device? now, IComparer<Device> comparer)
    {
        var next = new List<Device>(sorted.Count + 1);
        next.AddRange(sorted);
        if (before is not null)
        {
            next.RemoveAt(next.BinarySearch(before, comparer));
        }
        if (now is not null)
        {
            next.Insert(~next.BinarySearch(now, comparer), now);
        }
        return next;
    }

    private int PlaceOf(Guid id)
    {
        var (low, high) = (0, _byId.Count - 1);
        while (low <= high)
        {
            var middle = (low + high) >>> 1;
            var order = _byId[middle].Id.CompareTo(id);
            if (order == 0)
            {
                return middle;
            }
            (low, high) = order < 0 ? (middle + 1, high) : (low, middle - 1);
        }
        return -1;
    }

    private static long BytesOf(Device? device) => device is null
        ? 0
        : BytesOfDevice + (2L * (device.Name.Length + device.Description.Length)) + BytesOf(device.Tags)
            + (ReferenceEquals(device.Filters, MessageFilters.AllowAll)
                ? 0
                : BytesOf(device.Filters.Publish.Topics) + BytesOf(device.Filters.Subscribe.Topics));

    private static long BytesOf(IReadOnlyList<string>? texts) => texts is null ? 0 : 100 + texts.Sum(text => 30L + (2 * text.Length));
}
