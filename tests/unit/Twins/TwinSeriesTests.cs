using System.Text;
using System.Text.Json.Nodes;
using IotHub.Core.Domain;
using IotHub.Core.Messages;
using Xunit;

namespace IotHub.Unit.Twins;

/// <summary>Which values of a document are pushed, and with which tags (Scaleway IoT reference, the _config document).</summary>
public sealed class TwinSeriesTests
{
    [Theory]
    [InlineData("""{"documents":{"d":{"_tsdb_trigger":"on-update"}}}""", "a.b=1 a.c=2 e=1 f.0=5 f.1=6")]
    [InlineData("""{"documents":{"d":{"a":{"_tsdb_trigger":"on-update"}}}}""", "a.b=1 a.c=2")]
    [InlineData("""{"documents":{"d":{"a":{"b":{"_tsdb_trigger":"on-update"}}}}}""", "a.b=1")]
    [InlineData("""{"documents":{"d":{"_tsdb_trigger":"on-update","a":{"_tsdb_trigger":null}}}}""", "e=1 f.0=5 f.1=6")]
    [InlineData("""{"documents":{"d":{"_tsdb_trigger":"on-change"}}}""", "a.c=2 f.1=6")]
    [InlineData("""{"documents":{"d":{"_tsdb_trigger":"on-change","e":{"_tsdb_trigger":"on-update"}}}}""", "a.c=2 e=1 f.1=6")]
    [InlineData("""{"documents":{"_tsdb_trigger":"on-change"}}""", "a.c=2 f.1=6")]
    [InlineData("""{"documents":{"other":{"_tsdb_trigger":"on-update"}}}""", "")]
    [InlineData("""{"documents":{"d":{"_tsdb_trigger":"sometimes"}}}""", "")]
    [InlineData("""{"documents":{"d":"on-update"}}""", "")]
    [InlineData("""{"documents":[]}""", "")]
    [InlineData("{}", "")]
    public void Settings_count_for_their_level_and_below(string config, string expected)
    {
        var now = Json("""{"a":{"b":1,"c":2},"e":true,"f":[5,6,"x"],"g":"text","h":{}}""");
        var before = Json("""{"a":{"b":1,"c":3},"e":true,"f":[5,7]}""");
        var values = TwinSeries.Of(Json(config), new TwinDocument(Guid.NewGuid(), "d", 2, now), before, now);
        Assert.Equal(expected, string.Join(' ', values.Select(value => FormattableString.Invariant($"{value.Path}={value.Value}"))));
    }

    [Fact]
    public void On_update_means_what_the_write_named_even_when_it_is_the_same()
    {
        var config = Json("""{"documents":{"d":{"_tsdb_trigger":"on-update"}}}""");
        var now = Json("""{"a":{"b":1,"c":2},"e":3}""");
        var values = TwinSeries.Of(config, new TwinDocument(Guid.NewGuid(), "d", 2, now), now, Json("""{"a":{"c":2}}"""));
        Assert.Equal(["a.c"], values.Select(value => value.Path));
    }

    [Fact]
    public void Tags_of_an_inner_level_take_the_place_of_outer_ones()
    {
        var config = Json("""
            {"documents":{"_tsdb_trigger":"on-update","_tags":{"x":"outer"},"d":{"a":{"_tags":{"y":1,"z":true,"n":null}},"b":{"_tags":null}}}}
            """);
        var now = Json("""{"a":1,"b":2,"c":3}""");
        var values = TwinSeries.Of(config, new TwinDocument(Guid.NewGuid(), "d", 1, now), [], now);
        Assert.Equal(
            ["a: y=1 z=true", "b: ", "c: x=outer"],
            values.Select(value => $"{value.Path}: {string.Join(' ', value.Tags.OrderBy(tag => tag.Key).Select(tag => $"{tag.Key}={tag.Value}"))}"));
    }

    [Fact]
    public void Many_values_are_spread_over_envelopes_and_none_is_too_large()
    {
        var config = Json("""{"documents":{"d":{"_tsdb_trigger":"on-update","_tags":{"t":"ü\"<"}}}}""");
        var now = new JsonObject();
        for (var i = 0; i < 2_000; i++)
        {
            now[$"key-{i}-{new string('k', 100)}"] = i;
        }
        now[new string('x', 60_000)] = 1;
        var document = new TwinDocument(Guid.NewGuid(), "d", 1, now);
        var envelopes = TwinSeries.Envelopes(Guid.NewGuid(), document, TwinSeries.Of(config, document, [], now), DateTimeOffset.UtcNow, 48 * 1024).ToList();
        Assert.Equal(2_000, envelopes.Sum(envelope => envelope.Values.Count));
        Assert.True(envelopes.Count > 1);
        Assert.All(envelopes, envelope => Assert.InRange(EnvelopeJson.Write(envelope).Length, 1, 48 * 1024));
    }

    private static JsonObject Json(string text) => TwinRules.Parse(Encoding.UTF8.GetBytes(text));
}
