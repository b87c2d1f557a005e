using System.Text;
using IotHub.Broker;
using IotHub.Broker.Auth;
using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Unit.Auth;

public sealed class ScramTests
{
    private const string ServerNonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";

    private static readonly ScramCredential Pencil =
        ScramCredential.Create("pencil", 4096, Convert.FromBase64String("W22ZaJ0SNY7soEsUEjb6gQ=="));

    private readonly ScramSha256 _method = new(new ScramCredentials(new Dictionary<string, ScramCredential> { ["user"] = Pencil }));

    [Fact]
    public void The_example_of_RFC_7677_comes_out_to_the_letter()
    {
        var exchange = _method.Begin(ServerNonce);
        Assert.Equal(
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            Challenge(exchange, "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"));
        var step = exchange.Next(Encoding.UTF8.GetBytes(
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="));
        var proven = Assert.IsType<AuthenticationStep.Proven>(step);
        Assert.Equal(("user", "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), (proven.Name, Encoding.UTF8.GetString(proven.Data)));
        // An exchange that is over stays over.
        Assert.IsType<AuthenticationStep.Refused>(exchange.Next("n,,n=user,r=x"u8));
    }

    [Theory]
    [InlineData("n,,n=user,r=rOprNGfwEbeRWgbNEkqO", "n,,", true)]
    [InlineData("y,,n=user,r=rOprNGfwEbeRWgbNEkqO", "y,,", true)]
    [InlineData("n,a=user,n=user,r=rOprNGfwEbeRWgbNEkqO", "n,a=user,", true)]
    [InlineData("n,a=root,n=user,r=rOprNGfwEbeRWgbNEkqO", "", false)] // for somebody else
    [InlineData("p=tls-unique,,n=user,r=abc", "", false)] // channel binding
    [InlineData("n,,m=ext,n=user,r=abc", "", false)] // an extension that must be understood
    [InlineData("n,,n=us=er,r=abc", "", false)]
    [InlineData("n,,n=,r=abc", "", false)]
    [InlineData("n,,n=user,r=", "", false)]
    [InlineData("n,,n=user,r=a b", "", false)]
    [InlineData("n,,n=user", "", false)]
    [InlineData("n", "", false)]
    [InlineData("hello", "", false)]
    public void The_first_message_is_taken_by_its_form(string first, string header, bool isTaken)
    {
        var exchange = _method.Begin();
        var step = exchange.Next(Encoding.UTF8.GetBytes(first));
        Assert.Equal(isTaken, step is AuthenticationStep.Challenge);
        if (step is AuthenticationStep.Challenge challenge)
        {
            var client = new ScramClient("user", "pencil", header: header);
            var proven = Assert.IsType<AuthenticationStep.Proven>(exchange.Next(client.Final(challenge.Data)));
            Assert.True(client.Trusts(proven.Data));
        }
    }

    [Fact]
    public void A_changed_proof_nonce_or_header_is_refused()
    {
        var client = new ScramClient("user", "pencil");
        foreach (var change in new Func<string, string>[]
        {
            m => m.Replace("r=rOpr", "r=xOpr", StringComparison.Ordinal), m => m.Replace("c=biws", "c=eSws", StringComparison.Ordinal),
            m => m[..^8] + "AAAAAAA=", m => m[..m.IndexOf(",p=", StringComparison.Ordinal)], m => m + "=", m => "",
            m => m.Replace("p=", "q=", StringComparison.Ordinal),
        })
        {
            var exchange = _method.Begin();
            var challenge = Assert.IsType<AuthenticationStep.Challenge>(exchange.Next(client.First));
            var final = change(Encoding.UTF8.GetString(client.Final(challenge.Data)));
            Assert.IsType<AuthenticationStep.Refused>(exchange.Next(Encoding.UTF8.GetBytes(final)));
        }
    }

    [Fact]
    public void An_unknown_name_gets_a_challenge_that_looks_real_and_stays_the_same()
    {
        var again = new ScramSha256(new ScramCredentials(new Dictionary<string, ScramCredential> { ["user"] = Pencil }));
        var one = Challenge(_method.Begin("N"), "n,,n=nobody,r=abc");
        Assert.Equal(one, Challenge(again.Begin("N"), "n,,n=nobody,r=abc"));
        Assert.NotEqual(one, Challenge(again.Begin("N"), "n,,n=someone,r=abc"));
        Assert.Equal(Challenge(again.Begin("N"), "n,,n=user,r=abc").Length, one.Length);

        var exchange = _method.Begin();
        var client = new ScramClient("nobody", "pencil");
        var challenge = Assert.IsType<AuthenticationStep.Challenge>(exchange.Next(client.First));
        Assert.IsType<AuthenticationStep.Refused>(exchange.Next(client.Final(challenge.Data)));
    }

    [Fact]
    public void A_line_made_by_the_command_lets_its_password_in_and_holds_it_nowhere()
    {
        var (output, errors) = (new StringWriter(), new StringWriter());
        Assert.Equal(0, ScramCommand.Run(["my sensor"], new StringReader("pass word!\nignored"), output, errors));
        Assert.DoesNotContain("pass word!", output.ToString(), StringComparison.Ordinal);
        var method = new ScramSha256(ScramCredentials.Read(["# sensors", "", output.ToString()]));
        var exchange = method.Begin();
        var client = new ScramClient("my sensor", "pass word!");
        var challenge = Assert.IsType<AuthenticationStep.Challenge>(exchange.Next(client.First));
        Assert.IsType<AuthenticationStep.Proven>(exchange.Next(client.Final(challenge.Data)));
    }

    [Theory]
    [InlineData("", "x")]
    [InlineData("#name", "x")]
    [InlineData(" name", "x")]
    [InlineData("name", "")]
    [InlineData("name", "p\u00E4ssword")]
    public void The_command_says_no_to_names_and_passwords_that_it_cannot_store(string name, string password)
    {
        var (output, errors) = (new StringWriter(), new StringWriter());
        Assert.Equal(1, ScramCommand.Run([name], new StringReader(password), output, errors));
        Assert.Equal("", output.ToString());
        Assert.NotEqual("", errors.ToString());
    }

    [Theory]
    [InlineData("name", "expected a name")]
    [InlineData("name secret", "expected SCRAM-SHA-256$")]
    [InlineData("name SCRAM-SHA-256$1:c2FsdA==$AAAA:AAAA", "iterations must be")]
    [InlineData("name SCRAM-SHA-256$4096:!$AAAA:AAAA", "salt is not base64")]
    [InlineData("name SCRAM-SHA-256$4096:c2FsdA==$AAAA:AAAA", "keys have 32 bytes")]
    public void A_wrong_line_is_named_by_its_number_and_not_repeated(string line, string says)
    {
        var error = Assert.Throws<FormatException>(() => ScramCredentials.Read([$"user {Pencil}", line]));
        Assert.StartsWith("line 2: ", error.Message, StringComparison.Ordinal);
        Assert.Contains(says, error.Message, StringComparison.Ordinal);
        var twice = Assert.Throws<FormatException>(() => ScramCredentials.Read([$"user {Pencil}", $"user {Pencil}"]));
        Assert.Contains("line 2", twice.Message, StringComparison.Ordinal);
    }

    private static string Challenge(IAuthenticationExchange exchange, string first) =>
        Encoding.UTF8.GetString(Assert.IsType<AuthenticationStep.Challenge>(exchange.Next(Encoding.UTF8.GetBytes(first))).Data);
}
