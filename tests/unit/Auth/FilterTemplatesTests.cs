using IotHub.Broker.Auth;
using IotHub.Core.Domain;
using IotHub.Core.Messages;
using Xunit;

namespace IotHub.Unit.Auth;

/// <summary>Templates in message filters, filled in for one device.</summary>
public sealed class FilterTemplatesTests
{
    private static readonly Hub MyHub = new()
    {
        Id = new Guid("aaaaaaaa-0000-4000-8000-000000000000"),
        Name = "MyHub",
        ProjectId = Guid.Empty,
        OrganizationId = Guid.Empty,
        Region = "fr-par",
        CaCertificatePem = "",
        EnabledChangedAt = default,
        CreatedAt = default,
        UpdatedAt = default,
    };

    [Theory]
    [InlineData("/{{ hub.name }}/{{ device.name }}/#", "/MyHub/MyDevice/#")]
    [InlineData("{{hub.id}}/+", "aaaaaaaa-0000-4000-8000-000000000000/+")]
    [InlineData("x/{{  device.id  }}", "x/bbbbbbbb-0000-4000-8000-000000000000")]
    [InlineData("no/template/}}", "no/template/}}")]
    public void A_template_is_filled_in(string entry, string expected) =>
        Assert.Equal([expected], Fill(MessageFilterPolicy.Accept, "MyDevice", entry).Topics);

    [Theory]
    [InlineData("{{ device.secret }}")]
    [InlineData("a/{{ hub.name")]
    [InlineData("{{}}/x")]
    [InlineData("{{ hub.name }}#")]
    public void An_entry_that_cannot_be_read_accepts_nothing(string entry) =>
        Assert.Equal(["ok"], Fill(MessageFilterPolicy.Accept, "MyDevice", entry, "ok").Topics);

    [Fact]
    public void An_entry_that_cannot_be_read_rejects_everything()
    {
        var rule = Fill(MessageFilterPolicy.Reject, "MyDevice", "secret/{{ device.nme }}", "ok");
        var rights = new Rights(new MessageFilters(rule, rule), PlanRules.None, false);
        Assert.False(rights.MayPublish("anything"));
        Assert.False(rights.MaySubscribe("#"));
        Assert.False(rights.MayReceive("$SCW/events/x"));
    }

    [Theory]
    [InlineData("#")]
    [InlineData("+")]
    public void A_name_with_a_wildcard_widens_nothing(string name)
    {
        Assert.Empty(Fill(MessageFilterPolicy.Accept, name, "{{ device.name }}").Topics);
        Assert.Equal(["ok"], Fill(MessageFilterPolicy.Reject, name, "{{ device.name }}/a", "ok").Topics);
    }

    private static MessageFilterRule Fill(MessageFilterPolicy policy, string deviceName, params string[] topics)
    {
        var device = new Device
        {
            Id = new Guid("bbbbbbbb-0000-4000-8000-000000000000"),
            HubId = MyHub.Id,
            Name = deviceName,
            CreatedAt = default,
            UpdatedAt = default,
        };
        var filled = FilterTemplates.Fill(new MessageFilters(new(policy, topics), MessageFilterRule.RejectNothing), MyHub, device);
        Assert.Equal(MessageFilterRule.RejectNothing, filled.Subscribe with { Topics = MessageFilterRule.RejectNothing.Topics });
        return filled.Publish;
    }

    [Fact]
    public async Task A_template_that_cannot_be_read_is_told_at_the_next_connection_and_when_it_is_set()
    {
        var world = new World();
        var hub = await world.AddHub();
        var reject = new MessageFilterRule(MessageFilterPolicy.Reject, ["a/{{ device.nme }}", "b/{{ device.name }}"]);
        var device = await world.AddDevice(hub, d => d with { Filters = new MessageFilters(reject, reject) });
        var accepted = Assert.IsType<ConnectVerdict.Accepted>(await world.Connect(device.Id.ToString()));
        var warning = Assert.Single(accepted.Events);
        Assert.Equal(
            ("warning", "device", device.Id.ToString(), "cannot read the template in message filter a/{{ device.nme }}"),
            (warning.Severity, warning.ObjectType, warning.ObjectId, warning.Message));

        var accept = new MessageFilterRule(MessageFilterPolicy.Accept, ["{{}}"]);
        await world.Change(device, d => d with { Filters = new MessageFilters(accept, accept) });
        await world.Follow();
        var raised = Assert.Single(world.Broker.Calls.OfType<IotHub.Harness.RecordingBroker.Raised>());
        Assert.Equal((hub.Id, "cannot read the template in message filter {{}}"), (raised.HubId, raised.Happened.Message));
    }
}
