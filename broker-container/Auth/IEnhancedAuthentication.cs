namespace IotHub.Broker.Auth;

/// <summary>An authentication method of several steps, carried in AUTH packets (MQTT 5.0 section 4.12).</summary>
public interface IEnhancedAuthentication
{
    /// <summary>The Authentication Method that a client names in CONNECT, to the letter.</summary>
    string Method { get; }

    /// <summary>A new exchange, for a CONNECT or a re-authentication.</summary>
    IAuthenticationExchange Begin();
}

/// <summary>One client's exchange: fed with its Authentication Data in order until the answer is no challenge.</summary>
public interface IAuthenticationExchange
{
    /// <summary>Does not wait and does not throw for what a client sent.</summary>
    /// <param name="data">The client's Authentication Data; empty when it sent none.</param>
    AuthenticationStep Next(ReadOnlySpan<byte> data);
}

/// <summary>The server's answer to one step.</summary>
public abstract record AuthenticationStep
{
    private AuthenticationStep()
    {
    }

    /// <summary>More is needed from the client.</summary>
    public sealed record Challenge(byte[] Data) : AuthenticationStep;

    /// <summary>The client is who it says; <paramref name="Data"/> is the server's own proof.</summary>
    public sealed record Proven(string Name, byte[] Data) : AuthenticationStep;

    /// <summary>It is not, or does not keep to the method. Which of the two is nobody's business.</summary>
    public sealed record Refused : AuthenticationStep;
}
