using IotHub.Broker.Sessions;
using IotHub.Broker.Topics;
using Xunit;

namespace IotHub.Unit.Sessions;

public sealed class SubscriptionSetTests
{
    [Fact]
    public void One_two_and_no_subscriptions_are_kept_alike()
    {
        var set = new SubscriptionSet();
        Assert.Empty(set.Values);
        Assert.False(set.TryGetValue("a", out _));

        foreach (var filter in new[] { "a", "b", "c" })
        {
            set.Add(new Subscription(null!, filter, null));
        }
        Assert.Equal((3, "a,b,c"), (set.Count, string.Join(',', set.Values.Select(s => s.Filter).Order())));
        Assert.True(set.TryGetValue("a", out var first) && first.Filter == "a");
        Assert.True(set.Remove("a", out _) && set.Remove("b", out _));
        Assert.False(set.Remove("b", out _));
        Assert.Equal("c", Assert.Single(set.Values).Filter);
    }

    [Fact]
    public void An_only_subscription_is_found_and_removed_by_its_filter()
    {
        var set = new SubscriptionSet();
        set.Add(new Subscription(null!, "a", null));
        Assert.False(set.Remove("b", out _));
        Assert.True(set.TryGetValue("a", out _) && !set.TryGetValue("b", out _));
        Assert.True(set.Remove("a", out var removed) && removed.Filter == "a");
        Assert.Equal(0, set.Count);
        set.Add(new Subscription(null!, "b", null));
        set.Clear();
        Assert.Empty(set.Values);
    }
}
