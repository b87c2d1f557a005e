using IotHub.Core;
using IotHub.Core.Messages;
using IotHub.Core.Storage;
using IotHub.Functions.Api;

namespace IotHub.Functions.Events;

/// <param name="Events">With the keys that they are published with.</param>
/// <param name="NextPageToken">Absent on the last page.</param>
internal sealed record EventList(IReadOnlyList<HubEvent> Events, string? NextPageToken);

/// <summary>
/// What happened on a hub, newest first: an extension of the API. Pages follow each other by token and there is no total, so that the cost
/// is that of what is shown.
/// </summary>
internal sealed class EventFunctions(ApiRegistry registry, IEventLog events)
{
    public async Task<Outcome<EventList>> List(ApiRequest request)
    {
        var size = request.Query.PageSize();
        var token = request.Query.Text("page_token");
        if (request.Checks.Problem is { } wrong)
        {
            return wrong;
        }
        if (!(await registry.Hub(request, request.Id("hub_id"))).Get(out var hub, out var problem))
        {
            return problem;
        }
        try
        {
            var page = await events.Newest(hub.Value.Id, size, token, request.Cancel);
            return new EventList(page.Events, page.Next);
        }
        catch (FormatException)
        {
            return new Problem.InvalidArguments("page_token", "format", "must be the next_page_token of an earlier answer");
        }
    }
}

internal static class EventRoutes
{
    public static void MapEvents(this ApiRoutes api) =>
        api.Get("/hubs/{hub_id}/events", (EventFunctions events, ApiRequest request) => events.List(request))
            .Asks("page_size", "page_token")
            .Extends();
}
