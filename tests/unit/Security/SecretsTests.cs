using System.Security.Cryptography;
using System.Text;
using IotHub.Core.Security;
using Xunit;

namespace IotHub.Unit.Security;

public sealed class SecretsTests
{
    [Fact]
    public void New_secrets_have_the_forms_that_clients_check()
    {
        var secrets = Enumerable.Range(0, 200).Select(_ => Secrets.NewUuid()).ToList();
        Assert.All(secrets, secret => Assert.Matches("^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$", secret));
        Assert.Equal(200, secrets.Distinct().Count());
        Assert.Matches("^SCW[A-Z0-9]{17}$", Secrets.NewAccessKey());
    }

    [Fact]
    public void The_hash_is_sha_256_in_lower_case_hex() =>
        Assert.Equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", Secrets.Hash("abc"));

    [Fact]
    public void Secrets_are_compared_whole()
    {
        Assert.True(Secrets.AreEqual("secret", "secret"));
        Assert.False(Secrets.AreEqual("secret", "secres"));
        Assert.False(Secrets.AreEqual("secret", "secret "));
    }

    [Fact]
    public void A_network_secret_is_the_base64_of_its_two_members_and_reads_back()
    {
        var secret = new NetworkSecret(new Guid("080b85df-4bcd-4c96-a97d-34470b1650bc"), "936a2739-59c4-4ef8-bcb0-436ee9f8c82c");
        const string Recorded = "eyJOZXRJRCI6IjA4MGI4NWRmLTRiY2QtNGM5Ni1hOTdkLTM0NDcwYjE2NTBiYyIsIk5ldEtleSI6"
            + "IjkzNmEyNzM5LTU5YzQtNGVmOC1iY2IwLTQzNmVlOWY4YzgyYyJ9";
        Assert.Equal(Recorded, secret.ToToken());
        Assert.True(NetworkSecret.TryParse(Recorded, out var read));
        Assert.Equal(secret, read);
        Assert.DoesNotContain(secret.Key, $"{secret}", StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("not base64!")]
    [InlineData("e30=")]
    [InlineData("bnVsbA==")]
    public void What_is_no_network_secret_is_refused(string? token) => Assert.False(NetworkSecret.TryParse(token, out _));

    [Fact]
    public void A_network_secret_with_members_of_other_types_is_refused()
    {
        string[] texts =
            ["""{"NetID":1,"NetKey":"k"}""", """{"NetID":"x","NetKey":"k"}""", """{"NetID":null,"NetKey":null}""", "\"\\ud800\""];
        foreach (var json in texts)
        {
            Assert.False(NetworkSecret.TryParse(Convert.ToBase64String(Encoding.UTF8.GetBytes(json)), out _));
        }
        Assert.False(NetworkSecret.TryParse(new string('A', 100_000), out _));
    }

    [Fact]
    public void What_is_sealed_opens_with_its_key_and_purpose_only()
    {
        var key = RandomNumberGenerator.GetBytes(Sealer.KeyBytes);
        var sealer = new Sealer(key);
        var text = sealer.Seal("a sécret", "route:1");
        Assert.StartsWith("v1.", text, StringComparison.Ordinal);
        Assert.NotEqual(text, sealer.Seal("a sécret", "route:1"));
        Assert.Equal("a sécret", new Sealer(key).Open(text, "route:1"));
        Assert.Throws<CryptographicException>(() => sealer.Open(text, "route:2"));
        Assert.Throws<CryptographicException>(() => new Sealer(RandomNumberGenerator.GetBytes(32)).Open(text, "route:1"));
        Assert.Throws<CryptographicException>(() => sealer.Open(text.Replace("v1.", "v2.", StringComparison.Ordinal), "route:1"));
        Assert.Throws<CryptographicException>(() => sealer.Open("v1.AAAA", "route:1"));
        var damaged = Convert.FromBase64String(text[3..]);
        damaged[^1] ^= 1;
        Assert.Throws<CryptographicException>(() => sealer.Open("v1." + Convert.ToBase64String(damaged), "route:1"));
        Assert.Throws<ArgumentException>(() => new Sealer(new byte[16]));
    }
}
