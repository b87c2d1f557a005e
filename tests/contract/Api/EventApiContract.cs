using System.Text.Json.Nodes;
using IotHub.Core.Domain;
using IotHub.Core.Messages;
using IotHub.Functions.Events;
using Microsoft.Extensions.DependencyInjection;
using Xunit;
using static IotHub.Contract.Api.ApiConventions;

namespace IotHub.Contract.Api;

/// <summary>The recorded events of a hub over the API, on every driver.</summary>
public abstract class EventApiContract : IAsyncLifetime
{
    private TestApi _api = null!;
    private JsonNode _hub = null!;

    protected abstract Task<TestApi> NewApi();

    public async Task InitializeAsync()
    {
        _api = await NewApi();
        _hub = await _api.NewHub();
    }

    public async Task DisposeAsync() => await _api.DisposeAsync();

    [Fact]
    public async Task Events_are_listed_newest_first_with_the_keys_they_are_published_with()
    {
        AssertJson("""{"events":[]}""", (await _api.Get($"hubs/{_hub["id"]}/events")).Ok);
        await Record(2);
        AssertJson(
            $$"""
            {"events":[
              {"time":"2026-03-12T15:54:40Z","severity":"error","object-type":"device","object-id":"unknown","msg":"event 1"},
              {"time":"2026-03-12T15:54:39Z","severity":"error","object-type":"device","object-id":"unknown","msg":"event 0",
               "packet":"CONNECT: dup: false qos: 0 retain: false rLength: 12"}]}
            """,
            (await _api.Get($"hubs/{_hub["id"]}/events")).Ok);
    }

    [Fact]
    public async Task Pages_are_followed_by_token()
    {
        await Record(45);
        var read = new List<string>();
        for (var query = ""; ;)
        {
            var page = (await _api.Get($"hubs/{_hub["id"]}/events{query}")).Ok;
            read.AddRange(page["events"]!.AsArray().Select(happened => (string)happened!["msg"]!));
            if (page["next_page_token"] is not { } next)
            {
                break;
            }
            query = $"?page_token={Uri.EscapeDataString((string)next!)}";
        }
        Assert.Equal(Enumerable.Range(0, 45).Reverse().Select(i => $"event {i}"), read);
        var whole = (await _api.Get($"hubs/{_hub["id"]}/events?page_size=100")).Ok;
        Assert.Equal((45, null), (whole["events"]!.AsArray().Count, whole["next_page_token"]));
    }

    [Fact]
    public async Task Bad_questions_are_answered_as_such()
    {
        Assert.Equal([("page_size", "constraint")], (await _api.Get($"hubs/{_hub["id"]}/events?page_size=101")).WrongArguments());
        Assert.Equal([("page_token", "format")], (await _api.Get($"hubs/{_hub["id"]}/events?page_token=x")).WrongArguments());
        (await _api.Get($"hubs/{Guid.NewGuid()}/events")).Problem(404, "not_found");
        var foreign = await _api.NewKey(ApiRole.Administrator, organization: Guid.NewGuid());
        (await _api.Get($"hubs/{_hub["id"]}/events", foreign)).Problem(404, "not_found");
    }

    [Fact]
    public async Task A_deleted_hub_takes_its_events_along()
    {
        await Record(3);
        var hub = Guid.Parse((string)_hub["id"]!);
        await _api.Delete($"hubs/{hub}");
        Assert.Empty((await _api.Services.GetRequiredService<Core.Storage.IEventLog>().Newest(hub, 10)).Events);
    }

    private Task Record(int count)
    {
        var start = new DateTimeOffset(2026, 3, 12, 15, 54, 39, TimeSpan.Zero);
        var envelope = new EventsEnvelope
        {
            HubId = Guid.Parse((string)_hub["id"]!),
            Events =
            [
                .. Enumerable.Range(0, count).Select(i => new HubEvent
                {
                    Time = start.AddSeconds(i),
                    Severity = "error",
                    ObjectType = "device",
                    ObjectId = "unknown",
                    Message = $"event {i}",
                    Packet = i == 0 ? "CONNECT: dup: false qos: 0 retain: false rLength: 12" : null,
                }),
            ],
        };
        return _api.Services.GetRequiredService<RecordEventsFunction>().Run(EnvelopeJson.Write(envelope), default);
    }
}
