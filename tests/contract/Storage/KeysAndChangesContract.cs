using IotHub.Core.Domain;
using IotHub.Core.Storage;
using Xunit;

namespace IotHub.Contract.Storage;

/// <summary>What every driver of the API keys and of the change feed does.</summary>
public abstract class KeysAndChangesContract
{
    private readonly ShiftedTime _time = new();

    protected abstract Task<Stores> NewStores(TimeProvider time);

    [Fact]
    public async Task A_key_is_found_by_its_hash_listed_by_organization_and_deleted_by_its_name()
    {
        var keys = (await NewStores(_time)).Keys;
        var organization = Guid.NewGuid();
        var first = Samples.ApiKey(organization, "SCW00000000000000001");
        var second = Samples.ApiKey(organization, "SCW00000000000000002") with { ProjectId = null };
        foreach (var key in new[] { second, first, Samples.ApiKey(Guid.NewGuid(), "SCW00000000000000003") })
        {
            await keys.Create(key);
        }
        Assert.Equal(first, await keys.FindBySecretHash(first.SecretHash));
        Assert.Null(await keys.FindBySecretHash("another"));
        Assert.Equal([first, second], await keys.OfOrganization(organization).ToList());
        Assert.Equal(3, (await keys.All().ToList()).Count);
        Assert.True(await keys.Delete(first.AccessKey));
        Assert.False(await keys.Delete(first.AccessKey));
        Assert.Null(await keys.FindBySecretHash(first.SecretHash));
        Assert.Equal([second], await keys.OfOrganization(organization).ToList());
    }

    [Fact]
    public async Task An_access_key_is_taken_once()
    {
        var keys = (await NewStores(_time)).Keys;
        var key = Samples.ApiKey(Guid.NewGuid(), "SCW00000000000000001");
        await keys.Create(key);
        await Assert.ThrowsAsync<AlreadyExistsException>(() => keys.Create(key with { SecretHash = "other" }));
        Assert.Null(await keys.FindBySecretHash("other"));
    }

    [Fact]
    public async Task Changes_are_read_from_any_moment_on_in_order_across_hours()
    {
        var changes = (await NewStores(_time)).Changes;
        var hub = Guid.NewGuid();
        var ids = Enumerable.Range(0, 6).Select(_ => Guid.NewGuid()).ToList();
        var moments = new List<DateTimeOffset>();
        foreach (var id in ids)
        {
            moments.Add(_time.GetUtcNow());
            await changes.Append(hub, ChangedKind.Route, id);
            _time.Shift += TimeSpan.FromMinutes(29);
        }
        for (var from = 0; from < ids.Count; from++)
        {
            Assert.Equal(ids.Skip(from), (await changes.ReadSince(moments[from])).Select(change => change.Id));
        }
        var all = await changes.ReadSince(moments[0]);
        Assert.Equal(all.OrderBy(change => change.Position, StringComparer.Ordinal), all);
        Assert.All(all.Zip(moments), pair => Assert.InRange(pair.First.At, pair.Second, pair.Second.AddSeconds(30)));
        Assert.All(all, change => Assert.Equal((hub, ChangedKind.Route), (change.HubId, change.Kind)));
        Assert.Empty(await changes.ReadSince(_time.GetUtcNow()));
    }

    [Fact]
    public async Task Changes_of_full_hours_are_read_without_those_after()
    {
        var changes = (await NewStores(_time)).Changes;
        var start = MetricTimes.StartOf(MetricSpan.Hour, _time.GetUtcNow());
        var ids = new List<Guid>();
        for (var half = 0; half < 6; half++)
        {
            _time.Shift += start.AddMinutes(30 * half).AddSeconds(1) - _time.GetUtcNow();
            ids.Add(Guid.NewGuid());
            await changes.Append(Guid.NewGuid(), ChangedKind.Device, ids[^1]);
        }
        Assert.Equal(ids[2..4], (await changes.ReadHours(start.AddMinutes(75), start.AddMinutes(125))).Select(change => change.Id));
        Assert.Equal(ids[..4], (await changes.ReadHours(DateTimeOffset.UnixEpoch, start.AddMinutes(179))).Select(change => change.Id));
        Assert.Empty(await changes.ReadHours(start.AddMinutes(75), start.AddMinutes(100)));
    }

    [Fact]
    public async Task Trimming_drops_whole_hours_only()
    {
        var changes = (await NewStores(_time)).Changes;
        var start = _time.GetUtcNow();
        _time.Shift += new DateTimeOffset(start.Year, start.Month, start.Day, start.Hour, 30, 0, TimeSpan.Zero) - start;
        start = _time.GetUtcNow();
        for (var hour = 0; hour < 3; hour++)
        {
            await changes.Append(Guid.NewGuid(), ChangedKind.Hub, Guid.NewGuid());
            await changes.Append(Guid.NewGuid(), ChangedKind.Hub, Guid.NewGuid());
            _time.Shift += TimeSpan.FromHours(1);
        }
        await changes.Trim(start.AddHours(1).AddMinutes(20));
        Assert.Equal(4, (await changes.ReadSince(start.AddDays(-1))).Count);
        await changes.Trim(start.AddHours(9));
        Assert.Empty(await changes.ReadSince(start.AddDays(-1)));
    }
}
