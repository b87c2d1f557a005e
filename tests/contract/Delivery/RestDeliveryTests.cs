using System.Text;
using System.Text.Json;
using IotHub.Contract.Hosting;
using IotHub.Core.Domain;
using IotHub.Core.Messages;
using IotHub.Core.Storage;
using IotHub.Functions.Routes.Delivery;
using IotHub.Functions.Routes.Delivery.Sinks;
using IotHub.Harness;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace IotHub.Contract.Delivery;

/// <summary>REST routes against real HTTP servers that work, fail, stall, go away and come back.</summary>
public sealed class RestDeliveryTests
{
    private static Task<Route> RestRoute(TestFunctions functions, Guid hubId, Uri target, RestVerb verb = RestVerb.Post, params (string, string)[] headers) =>
        functions.NewRoute(hubId, route => route with
        {
            Rest = new RestRouteConfig(verb, target.ToString(), headers.ToDictionary(header => header.Item1, header => header.Item2)),
        });

    [Fact]
    public async Task A_message_becomes_a_request_as_the_original_sends_it()
    {
        await using var functions = await TestFunctions.Start();
        await using var target = await TestHttpServer.Start();
        var hub = await functions.NewHub();
        var route = await RestRoute(functions, hub.Id, new Uri(target.Url, "/in?x=1"), RestVerb.Put, ("X-My-Header", "Tutorial"), ("x-mqtt-topic", "forged"), ("Content-Length", "9"));
        var message = functions.Message("hello/wörld", "hello, world!", retain: true);
        await functions.Owe(route, message);
        await functions.DeliverAll();

        var request = Assert.Single(target.Received);
        Assert.Equal(("PUT", "/in?x=1", "hello, world!"), (request.Method, request.Target, request.Text));
        Assert.Equal("hello/wörld", request.Header("X-Mqtt-Topic"));
        Assert.Equal("true", request.Header("X-Mqtt-Retain"));
        Assert.Equal("Tutorial", request.Header("X-My-Header"));
        Assert.Equal($"{message.Id}-{route.Id}", request.Header("Idempotency-Key"));
        Assert.Equal("13", request.Header("Content-Length"));
        Assert.Null(request.Header("Content-Type"));
        Assert.Equal(0, functions.DeadLetters.Count);
    }

    [Theory]
    [InlineData(RestVerb.Get, "GET")]
    [InlineData(RestVerb.Post, "POST")]
    [InlineData(RestVerb.Patch, "PATCH")]
    [InlineData(RestVerb.Delete, "DELETE")]
    [InlineData(RestVerb.Unknown, "POST")]
    public async Task Every_verb_carries_the_payload(RestVerb verb, string method)
    {
        await using var functions = await TestFunctions.Start();
        await using var target = await TestHttpServer.Start();
        var route = await RestRoute(functions, (await functions.NewHub()).Id, target.Url, verb, ("Content-Type", "text/plain"));
        await functions.Owe(route, functions.Message("t", "body"));
        await functions.DeliverAll();
        var request = Assert.Single(target.Received);
        Assert.Equal((method, "body", "false", "text/plain"), (request.Method, request.Text, request.Header("X-Mqtt-Retain"), request.Header("Content-Type")));
    }

    [Fact]
    public async Task A_batch_arrives_in_order_and_a_failure_in_its_middle_holds_back_the_rest()
    {
        await using var functions = await TestFunctions.Start();
        await using var target = await TestHttpServer.Start();
        var route = await RestRoute(functions, (await functions.NewHub()).Id, target.Url);
        var fails = 2;
        target.Answers(context =>
        {
            context.Response.StatusCode = context.Request.Headers["X-Mqtt-Topic"] == "3" && fails-- > 0 ? 503 : 200;
            return Task.CompletedTask;
        });
        await functions.Owe(route, [.. Enumerable.Range(1, 5).Select(i => functions.Message($"{i}"))]);
        await functions.DeliverAll();
        Assert.Equal(["1", "2", "3", "4", "5"], target.Accepted.Select(request => request.Header("X-Mqtt-Topic")));
        Assert.Equal(["1", "2", "3", "3", "3", "4", "5"], target.Received.Select(request => request.Header("X-Mqtt-Topic")));
    }

    [Fact]
    public async Task A_target_that_is_down_for_hours_loses_nothing_and_its_hub_hears_of_it_once()
    {
        await using var functions = await TestFunctions.Start();
        await using var target = await TestHttpServer.Start();
        var hub = await functions.NewHub();
        var route = await RestRoute(functions, hub.Id, target.Url);
        await target.GoDown();
        await functions.Owe(route, functions.Message("1"), functions.Message("2"));
        await functions.Owe(route, functions.Message("3"));
        for (var minute = 0; minute < 20 * 60; minute += 5)
        {
            await functions.DeliverOnce();
            functions.Clock.Advance(TimeSpan.FromMinutes(5));
        }
        await target.ComeBack();
        await functions.DeliverAll();

        Assert.Equal(["1", "2", "3"], target.Accepted.Select(request => request.Header("X-Mqtt-Topic")).Order());
        Assert.Equal(0, functions.DeadLetters.Count);
        var told = Assert.Single(functions.Broker.Received);
        Assert.Equal($"$SCW/events/route/{route.Id}/error", Uri.UnescapeDataString(told.Header("X-Topic")!));
        Assert.Equal(route.Id.ToString(), told.Header("X-Except-Route"));
        var happened = JsonDocument.Parse(told.Body).RootElement;
        Assert.Equal(["time", "severity", "object-type", "object-id", "msg"], happened.EnumerateObject().Select(member => member.Name));
        Assert.Equal("rest call failed. Error: the connection was refused or broke", happened.GetProperty("msg").GetString());
        Assert.Equal(route.Id.ToString(), Assert.Single((await functions.Get<IEventLog>().Newest(hub.Id, 10)).Events).ObjectId);
    }

    [Fact]
    public async Task After_a_recovery_the_next_failure_is_told_again()
    {
        await using var functions = await TestFunctions.Start();
        await using var target = await TestHttpServer.Start();
        var route = await RestRoute(functions, (await functions.NewHub()).Id, target.Url);
        for (var outage = 1; outage <= 2; outage++)
        {
            target.Answers(500);
            await functions.Owe(route, functions.Message("t"));
            await functions.DeliverOnce();
            Assert.Equal(outage, functions.Broker.Received.Count);
            target.Answers(200);
            await functions.DeliverAll();
        }
        Assert.All(functions.Broker.Received, told => Assert.Contains("rest call failed. Error 500", told.Text, StringComparison.Ordinal));
    }

    [Fact]
    public async Task With_events_switched_off_nobody_is_told()
    {
        await using var functions = await TestFunctions.Start();
        await using var target = await TestHttpServer.Start();
        target.Answers(500);
        var hub = await functions.NewHub(hub => hub with { DisableEvents = true });
        await functions.Owe(await RestRoute(functions, hub.Id, target.Url), functions.Message("t"));
        await functions.DeliverOnce();
        Assert.Empty(functions.Broker.Received);
        Assert.Empty((await functions.Get<IEventLog>().Newest(hub.Id, 10)).Events);
    }

    [Fact]
    public async Task Severity_may_stand_first_in_event_topics()
    {
        await using var functions = await TestFunctions.Start(settings: same => same with { EventsSeverityFirst = true });
        await using var target = await TestHttpServer.Start();
        target.Answers(500);
        var hub = await functions.NewHub(hub => hub with { EventsTopicPrefix = "my/events" });
        var route = await RestRoute(functions, hub.Id, target.Url);
        await functions.Owe(route, functions.Message("t"));
        await functions.DeliverOnce();
        Assert.Equal($"my/events/error/route/{route.Id}", Uri.UnescapeDataString(Assert.Single(functions.Broker.Received).Header("X-Topic")!));
    }

    [Fact]
    public async Task A_target_that_stalls_is_left_after_ten_seconds_and_tried_again()
    {
        await using var functions = await TestFunctions.Start();
        await using var target = await TestHttpServer.Start();
        var route = await RestRoute(functions, (await functions.NewHub()).Id, target.Url);
        target.Stall();
        await functions.Owe(route, functions.Message("t"));
        var delivering = functions.DeliverOnce();
        await Eventually.True(() => target.Received.Count == 1);
        functions.Clock.Advance(RestSink.CallTimeLimit);
        await delivering;
        Assert.Contains("no answer in time", Assert.Single(functions.Broker.Received).Text, StringComparison.Ordinal);
        target.Resume();
        await functions.DeliverAll();
        Assert.Single(target.Accepted);
        Assert.Equal(target.Received[0].Header("Idempotency-Key"), target.Received[1].Header("Idempotency-Key"));
    }

    [Fact]
    public async Task A_refusal_is_borne_three_times_and_then_the_message_goes_to_the_dead_letters()
    {
        await using var functions = await TestFunctions.Start();
        await using var target = await TestHttpServer.Start();
        target.Answers(context =>
        {
            context.Response.StatusCode = context.Request.Headers["X-Mqtt-Topic"] == "bad" ? 422 : 200;
            return Task.CompletedTask;
        });
        var route = await RestRoute(functions, (await functions.NewHub()).Id, target.Url);
        var bad = functions.Message("bad", "the payload");
        await functions.Owe(route, bad, functions.Message("good"));
        await functions.DeliverAll();

        Assert.Equal(["bad", "bad", "bad", "bad", "good"], target.Received.Select(request => request.Header("X-Mqtt-Topic")));
        var letter = new DeadLetter
        {
            HubId = route.HubId,
            RouteId = route.Id,
            Reason = "",
            Attempts = 0,
            GivenUpAt = default,
            Message = new EnvelopeMessage { Id = bad.Id, Topic = bad.Topic, ReceivedAt = bad.ReceivedAt },
        };
        var stored = EnvelopeJson.Read<DeadLetter>((await functions.DeadLetters.Get(DeadLetters.NameOf(letter), 10_000))!);
        Assert.Equal(("rest call failed. Error 422", 4, bad.Id), (stored.Reason, stored.Attempts, stored.Message.Id));
        Assert.Equal("the payload", Encoding.UTF8.GetString(stored.Message.Payload!));
        Assert.Single(functions.Broker.Received);
    }

    [Fact]
    public async Task After_a_day_a_target_that_is_away_is_given_up()
    {
        await using var functions = await TestFunctions.Start(settings: same => same with { RouteGiveUpAfter = TimeSpan.FromHours(1) });
        await using var target = await TestHttpServer.Start();
        target.Answers(503);
        var route = await RestRoute(functions, (await functions.NewHub()).Id, target.Url);
        await functions.Owe(route, functions.Message("1"), functions.Message("2"));
        await functions.DeliverAll();
        Assert.Equal(2, functions.DeadLetters.Count);
        // The second waited behind the first and is as old: it is tried, but does not begin to wait anew.
        Assert.Single(target.Received, request => request.Header("X-Mqtt-Topic") == "2");
    }

    [Fact]
    public async Task A_redirect_is_not_followed()
    {
        await using var functions = await TestFunctions.Start();
        await using var target = await TestHttpServer.Start();
        await using var elsewhere = await TestHttpServer.Start();
        target.Answers(context =>
        {
            context.Response.Redirect(elsewhere.Url.ToString());
            return Task.CompletedTask;
        });
        await functions.Owe(await RestRoute(functions, (await functions.NewHub()).Id, target.Url), functions.Message("t"));
        await functions.DeliverAll();
        Assert.Empty(elsewhere.Received);
        Assert.Equal(1, functions.DeadLetters.Count);
    }

    [Fact]
    public async Task The_targets_wish_to_be_left_alone_is_respected()
    {
        await using var functions = await TestFunctions.Start();
        await using var target = await TestHttpServer.Start();
        target.Answers(context =>
        {
            context.Response.StatusCode = 429;
            context.Response.Headers.RetryAfter = "120";
            return Task.CompletedTask;
        });
        await functions.Owe(await RestRoute(functions, (await functions.NewHub()).Id, target.Url), functions.Message("t"));
        await functions.DeliverOnce();
        functions.Clock.Advance(TimeSpan.FromSeconds(120 * 0.79));
        Assert.Equal(0, await functions.DeliverOnce());
        functions.Clock.Advance(TimeSpan.FromSeconds(120 * 0.45));
        Assert.Equal(1, await functions.DeliverOnce());
    }

    [Fact]
    public async Task A_reply_with_a_topic_is_published_once_but_not_to_the_route_that_caused_it()
    {
        await using var functions = await TestFunctions.Start();
        await using var target = await TestHttpServer.Start();
        target.Answers(async context =>
        {
            context.Response.Headers["X-Mqtt-Topic"] = "answers/1";
            await context.Response.WriteAsync("pong");
        });
        var hub = await functions.NewHub();
        var route = await RestRoute(functions, hub.Id, target.Url);
        var message = functions.Message("ping");
        await functions.Owe(route, message);
        await functions.Owe(route, message);
        await functions.DeliverAll();
        Assert.Equal(2, functions.Broker.Received.Count);
        Assert.Single(functions.Broker.Received.Select(published => published.Header("X-Message-Id")).Distinct());
        var reply = functions.Broker.Received[0];
        Assert.Equal($"/internal/hubs/{hub.Id}/messages", reply.Target);
        Assert.Equal(("answers/1", "pong", route.Id.ToString()), (Uri.UnescapeDataString(reply.Header("X-Topic")!), reply.Text, reply.Header("X-Except-Route")));
    }

    [Theory]
    [InlineData(200, "a/#", 1)]
    [InlineData(200, null, 1)]
    [InlineData(200, "huge", 6 * 1024 * 1024)]
    [InlineData(404, "a", 1)]
    public async Task A_reply_that_cannot_be_published_is_left_out(int status, string? topic, int length)
    {
        await using var functions = await TestFunctions.Start();
        await using var target = await TestHttpServer.Start();
        target.Answers(async context =>
        {
            context.Response.StatusCode = status;
            if (topic is not null)
            {
                context.Response.Headers["X-Mqtt-Topic"] = topic;
            }
            await context.Response.Body.WriteAsync(new byte[length]);
        });
        var hub = await functions.NewHub(hub => hub with { DisableEvents = true });
        await functions.Owe(await RestRoute(functions, hub.Id, target.Url), functions.Message("ping"));
        await functions.DeliverOnce();
        Assert.Empty(functions.Broker.Received);
        Assert.Equal(status == 200 ? 0 : 1, functions.Deliveries.Count);
    }

    [Fact]
    public async Task An_address_that_routes_may_not_reach_is_not_connected_to()
    {
        await using var functions = await TestFunctions.Start(settings: same => same with { RouteAllowedNetworks = [] });
        await using var target = await TestHttpServer.Start();
        var hub = await functions.NewHub();
        await functions.Owe(await RestRoute(functions, hub.Id, target.Url), functions.Message("t"));
        await functions.Owe(await RestRoute(functions, hub.Id, new Uri($"http://localhost:{target.Url.Port}/")), functions.Message("t"));
        await functions.DeliverAll();
        Assert.Empty(target.Received);
        Assert.Equal(2, functions.DeadLetters.Count);
        Assert.All(functions.Broker.Received, told => Assert.Contains("routes may not reach this address", told.Text, StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_topic_that_no_header_can_hold_is_no_way_into_the_request()
    {
        await using var functions = await TestFunctions.Start();
        await using var target = await TestHttpServer.Start();
        await functions.Owe(await RestRoute(functions, (await functions.NewHub()).Id, target.Url), functions.Message("a\r\nX-Forged: 1"));
        await functions.DeliverAll();
        Assert.Empty(target.Received);
        Assert.Equal(1, functions.DeadLetters.Count);
    }

    [Fact]
    public async Task What_is_owed_to_a_route_that_is_gone_is_dropped()
    {
        await using var functions = await TestFunctions.Start();
        await using var target = await TestHttpServer.Start();
        var route = await RestRoute(functions, (await functions.NewHub()).Id, target.Url);
        await functions.Owe(route, functions.Message("t"));
        await functions.Registry.DeleteRoute(route.Id);
        await functions.DeliverAll();
        Assert.Empty(target.Received);
        Assert.Equal(0, functions.DeadLetters.Count);
    }

    [Fact]
    public async Task A_payload_that_travelled_as_a_blob_arrives_whole()
    {
        await using var functions = await TestFunctions.Start();
        await using var target = await TestHttpServer.Start();
        var payload = new byte[4 * 1024 * 1024];
        new Random(2).NextBytes(payload);
        var route = await RestRoute(functions, (await functions.NewHub()).Id, target.Url);
        await functions.Owe(route, functions.Message("small"), new DeviceMessage(Guid.NewGuid(), "large", payload, false, functions.Clock.GetUtcNow()));
        Assert.Equal(1, functions.Payloads.Count);
        await functions.DeliverAll();
        Assert.Equal(payload, target.Accepted[1].Body);
    }

    [Fact]
    public async Task Database_routes_are_not_there_yet_and_say_so()
    {
        await using var functions = await TestFunctions.Start();
        var hub = await functions.NewHub();
        var route = await functions.NewRoute(hub.Id, route => route with
        {
            Database = new DatabaseRouteConfig(DatabaseEngine.Postgresql, "db", 5432, "db", "user", "sealed", "SELECT 1"),
        });
        await functions.Owe(route, functions.Message("t"));
        await functions.DeliverAll();
        Assert.Equal(1, functions.DeadLetters.Count);
        Assert.Contains("database routes are not supported yet", Assert.Single(functions.Broker.Received).Text, StringComparison.Ordinal);
    }
}
