using System.Globalization;
using IotHub.Core.Domain;
using IotHub.Core.Storage;
using Xunit;

namespace IotHub.Contract.Storage;

/// <summary>Lists of devices on every driver, through two gateways over one storage: what one writes the other lists at once.</summary>
public abstract class DeviceListContract
{
    private static readonly DateTimeOffset Start = new(2026, 3, 1, 0, 0, 0, TimeSpan.Zero);

    /// <summary>Two gateways over one storage.</summary>
    protected abstract Task<(IRegistry One, IRegistry Other)> NewRegistries();

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task Every_list_is_what_a_plain_model_says_whatever_happened_before(int seed)
    {
        var random = new Random(seed);
        var (one, other) = await NewRegistries();
        var model = new ListModel(random);
        for (var i = 0; i < 3; i++)
        {
            var hub = Samples.Hub();
            await one.CreateHub(hub);
            model.Hubs.Add(hub.Id, hub);
        }
        for (var step = 0; step < 150; step++)
        {
            var did = await model.Change(random.Next(2) == 0 ? one : other);
            for (var list = random.Next(3); list > 0; list--)
            {
                await AssertListed(model.Query(), did);
            }
        }
        foreach (var order in Enum.GetValues<DeviceOrder>())
        {
            foreach (var descending in new[] { false, true })
            {
                await AssertListed(new DeviceQuery([.. model.Hubs.Values]) { Order = order, Descending = descending }, "in the end");
            }
        }

        async Task AssertListed(DeviceQuery query, string did)
        {
            var (expected, total) = model.Answer(query);
            foreach (var registry in random.Next(2) == 0 ? new[] { one, other } : [other, one])
            {
                var page = await registry.ListDevices(query);
                var names = page.Devices.Select(Shown);
                Assert.True(expected.Select(Shown).SequenceEqual(names), $"seed {seed}, after {did}: {query}\n{string.Join('\n', names)}");
                Assert.Equal(total, page.Total);
            }
        }
    }

    [Fact]
    public async Task Pages_of_a_list_are_the_list_cut_into_pieces()
    {
        var (one, other) = await NewRegistries();
        var (hub, second) = (Samples.Hub(), Samples.Hub());
        await one.CreateHub(hub);
        await one.CreateHub(second);
        foreach (var to in new[] { hub, second })
        {
            // All of one moment: ids alone decide.
            Assert.True(await one.CreateDevices(to.Id, [.. Enumerable.Range(0, 23).Select(_ => Samples.Device(to.Id))]));
        }
        foreach (var hubs in new Hub[][] { [hub], [hub, second] })
        {
            var query = new DeviceQuery(hubs) { Order = DeviceOrder.CreatedAt, Descending = true };
            var whole = (await other.ListDevices(query)).Devices.Select(device => device.Id).ToList();
            Assert.Equal(whole.Order(), whole);
            var pieces = new List<Guid>();
            for (var skip = 0; skip <= 46; skip += 7)
            {
                var page = await other.ListDevices(query with { Skip = skip, Take = 7 });
                Assert.Equal(23 * hubs.Length, page.Total);
                pieces.AddRange(page.Devices.Select(device => device.Id));
            }
            Assert.Equal(whole, pieces);
            Assert.Empty((await other.ListDevices(query with { Skip = long.MaxValue, Take = 7 })).Devices);
        }
    }

    [Fact]
    public async Task A_list_shows_everything_of_a_device_but_its_certificate()
    {
        var (one, _) = await NewRegistries();
        var hub = Samples.Hub();
        await one.CreateHub(hub);
        var device = Samples.Device(hub.Id, fingerprint: "f1") with { Tags = ["a", "b"] };
        await one.CreateDevice(device);
        var listed = Assert.Single((await one.ListDevices(new DeviceQuery([hub]))).Devices);
        Assert.Equal(StoredJson.Write(device with { CertificatePem = "", CertificateFingerprint = "" }), StoredJson.Write(listed));
    }

    [Fact]
    public async Task Devices_written_at_the_same_time_get_in_nobodys_way_and_are_listed_by_the_other_at_once()
    {
        var (one, other) = await NewRegistries();
        var hub = Samples.Hub();
        await one.CreateHub(hub);
        await Task.WhenAll(Enumerable.Range(0, 8).Select(async writer =>
        {
            var (writes, lists) = writer % 2 == 0 ? (one, other) : (other, one);
            var device = Samples.Device(hub.Id, $"d{writer}");
            await writes.CreateDevice(device);
            for (var i = 0; i < 12; i++)
            {
                var next = device with { Description = i.ToString(CultureInfo.InvariantCulture) };
                await writes.ReplaceDevice((await writes.GetDevice(device.Id))! with { Value = next });
                var page = await lists.ListDevices(new DeviceQuery([hub]) { NamePart = device.Name });
                Assert.Equal(next.Description, Assert.Single(page.Devices).Description);
            }
            if (writer % 4 == 0)
            {
                Assert.True(await writes.DeleteDevice(device.Id));
                Assert.Equal(0, (await lists.ListDevices(new DeviceQuery([hub]) { NamePart = device.Name })).Total);
            }
        }));
        foreach (var registry in new[] { one, other })
        {
            Assert.Equal(6, (await registry.GetHub(hub.Id))!.Value.DeviceCount);
            Assert.Equal(6, (await registry.ListDevices(new DeviceQuery([hub]))).Total);
        }
    }

    [Fact]
    public async Task Nothing_of_a_hub_that_was_deleted_is_listed()
    {
        var (one, other) = await NewRegistries();
        var hub = Samples.Hub();
        await one.CreateHub(hub);
        Assert.True(await one.CreateDevices(hub.Id, [.. Enumerable.Range(0, 5).Select(_ => Samples.Device(hub.Id))]));
        Assert.Equal(5, (await other.ListDevices(new DeviceQuery([hub]))).Total);
        await one.DeleteHub(hub.Id);
        Assert.Equal(0, (await other.ListDevices(new DeviceQuery([hub with { Deleting = true }]))).Total);
    }

    private static string Shown(Device device) => $"{device.HubId:N}/{device.Id:N} {device.Name} {device.Description}";

    /// <summary>What there is, and what a list of it must say, with nothing but sorting and filtering it all.</summary>
    private sealed class ListModel(Random random)
    {
        private readonly Dictionary<Guid, Device> _devices = [];
        private readonly HashSet<Guid> _connected = [];
        private int _names;

        public Dictionary<Guid, Hub> Hubs { get; } = [];

        /// <summary>Does something to the registry and to the model; says what.</summary>
        public async Task<string> Change(IRegistry registry)
        {
            switch (random.Next(10))
            {
                case 0 or 1:
                    var made = NewDevice(AnyHub());
                    await registry.CreateDevice(made);
                    _devices.Add(made.Id, made);
                    return "a creation";
                case 2:
                    var hub = AnyHub();
                    var several = Enumerable.Range(0, random.Next(1, 30)).Select(_ => NewDevice(hub)).ToList();
                    Assert.True(await registry.CreateDevices(hub, several));
                    several.ForEach(device => _devices.Add(device.Id, device));
                    return $"a creation of {several.Count}";
                case 3 when _devices.Count > 0:
                    var gone = AnyDevice();
                    Assert.True(await registry.DeleteDevice(gone.Id));
                    _devices.Remove(gone.Id);
                    _connected.Remove(gone.Id);
                    return "a deletion";
                case 4 when _devices.Count > 0:
                    var moved = AnyDevice() with { HubId = AnyHub() };
                    _ = _devices[moved.Id].HubId != moved.HubId && _connected.Remove(moved.Id);
                    await Replace(registry, moved);
                    return "a move";
                case 5 when _devices.Count > 0:
                    var (seen, isConnected) = (AnyDevice(), random.Next(2) == 0);
                    await registry.RecordActivity(
                        [new DeviceActivity(seen.HubId, seen.Id, isConnected, Start.AddYears(1).AddSeconds(++_names))]);
                    _ = isConnected ? _connected.Add(seen.Id) : _connected.Remove(seen.Id);
                    return "a report";
                case var _ when _devices.Count > 0:
                    var device = AnyDevice();
                    await Replace(registry, device with
                    {
                        Description = $"changed {++_names}",
                        Status = random.Next(2) == 0 ? DeviceStatus.Enabled : DeviceStatus.Disabled,
                        AllowInsecure = random.Next(2) == 0,
                        Tags = random.Next(2) == 0 ? ["a"] : null,
                        UpdatedAt = Moment(),
                    });
                    return "a change";
                default:
                    return "nothing";
            }
        }

        public DeviceQuery Query()
        {
            var hubs = random.Next(2) == 0 ? [Hubs[AnyHub()]] : Hubs.Values.ToList();
            return new DeviceQuery(hubs)
            {
                NamePart = random.Next(3) == 0 ? random.Next(10).ToString(CultureInfo.InvariantCulture) : null,
                AllowInsecure = random.Next(4) == 0 ? random.Next(2) == 0 : null,
                Status = random.Next(4) == 0 ? DeviceStatus.Enabled : null,
                Tags = random.Next(4) == 0 ? ["a"] : [],
                IsConnected = random.Next(4) == 0 ? random.Next(2) == 0 : null,
                Order = (DeviceOrder)random.Next(6),
                Descending = random.Next(2) == 0,
                Skip = random.Next(2) * random.Next(20),
                Take = random.Next(1, 20),
            };
        }

        public (List<Device> Page, long Total) Answer(DeviceQuery query)
        {
            var found = _devices.Values
                .Where(device => query.Hubs.Any(hub => hub.Id == device.HubId))
                .Where(device => query.NamePart is null || device.Name.Contains(query.NamePart, StringComparison.Ordinal))
                .Where(device => query.AllowInsecure is null || device.AllowInsecure == query.AllowInsecure)
                .Where(device => query.Status is null || device.Status == query.Status)
                .Where(device => query.Tags.Except(device.Tags ?? []).Any() == false)
                .Where(device => query.IsConnected is null || _connected.Contains(device.Id) == query.IsConnected)
                .ToList();
            var sorted = query.Order switch
            {
                DeviceOrder.Name => Sorted(device => device.Name, StringComparer.Ordinal),
                DeviceOrder.Status => Sorted(device => StoredJson.Write(device.Status), StringComparer.Ordinal),
                DeviceOrder.HubId => Sorted(device => device.HubId, null),
                DeviceOrder.CreatedAt => Sorted(device => device.CreatedAt, null),
                DeviceOrder.UpdatedAt => Sorted(device => device.UpdatedAt, null),
                _ => Sorted(device => device.AllowInsecure ? 1 : 0, null),
            };
            return (sorted.Skip((int)query.Skip).Take(query.Take).ToList(), found.Count);

            IEnumerable<Device> Sorted<T>(Func<Device, T> key, IComparer<T>? comparer) =>
                (query.Descending ? found.OrderByDescending(key, comparer) : found.OrderBy(key, comparer)).ThenBy(device => device.Id);
        }

        private async Task Replace(IRegistry registry, Device next)
        {
            await registry.ReplaceDevice((await registry.GetDevice(next.Id))! with { Value = next });
            _devices[next.Id] = next;
        }

        private Device NewDevice(Guid hubId) => Samples.Device(hubId, $"{random.Next(10)} {++_names}") with
        {
            CreatedAt = Moment(),
            UpdatedAt = Moment(),
            Tags = random.Next(3) == 0 ? ["a", "b"] : null,
            AllowInsecure = random.Next(2) == 0,
            Filters = random.Next(2) == 0 ? MessageFilters.AllowAll : Samples.Device(hubId).Filters,
        };

        /// <summary>Few enough that some are the same.</summary>
        private DateTimeOffset Moment() => Start.AddMinutes(random.Next(20));

        private Guid AnyHub() => Hubs.Keys.ElementAt(random.Next(Hubs.Count));

        private Device AnyDevice() => _devices.Values.ElementAt(random.Next(_devices.Count));
    }
}

public sealed class MemoryDeviceListTests : DeviceListContract
{
    protected override Task<(IRegistry One, IRegistry Other)> NewRegistries()
    {
        var registry = Stores.InMemory(TimeProvider.System).Registry;
        return Task.FromResult((registry, registry));
    }
}

public sealed class TableDeviceListTests : DeviceListContract
{
    protected override async Task<(IRegistry One, IRegistry Other)> NewRegistries()
    {
        var account = await Stores.NewAccount();
        return (Stores.InTables(account, TimeProvider.System).Registry, Stores.InTables(account, TimeProvider.System).Registry);
    }
}

/// <summary>With so little room that what is remembered goes again and again.</summary>
public sealed class ForgetfulTableDeviceListTests : DeviceListContract
{
    protected override async Task<(IRegistry One, IRegistry Other)> NewRegistries()
    {
        var account = await Stores.NewAccount();
        return (
            Stores.InTables(account, TimeProvider.System, indexBytes: 60_000).Registry,
            Stores.InTables(account, TimeProvider.System, indexBytes: 0).Registry);
    }
}
