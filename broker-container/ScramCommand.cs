using IotHub.Broker.Auth;

namespace IotHub.Broker;

/// <summary>Makes and reads the file of <c>--scram-credentials</c>.</summary>
public static class ScramCommand
{
    public const string Name = "scram-credential";

    /// <summary>Whoever steals a credential tries passwords this many times slower; clients compute it once per connection.</summary>
    private const int Iterations = 100_000;

    /// <summary>Writes the line of one name; the password is the first line of the input, so that no process list shows it.</summary>
    /// <returns>The exit code.</returns>
    public static int Run(IReadOnlyList<string> args, TextReader input, TextWriter output, TextWriter errors)
    {
        try
        {
            if (args.Count != 1 || args[0].Length == 0 || args[0].Trim() != args[0] || args[0][0] == '#' || args[0].Any(char.IsControl))
            {
                throw new FormatException("usage: IotHub.Broker scram-credential NAME, with the password as the first line of the input");
            }
            output.WriteLine($"{args[0]} {ScramCredential.Create(input.ReadLine() ?? "", Iterations)}");
            return 0;
        }
        catch (FormatException e)
        {
            errors.WriteLine($"IotHub.Broker: {e.Message}");
            return 1;
        }
    }

    /// <exception cref="StartException">The file cannot be read, or a line is wrong.</exception>
    public static ScramCredentials ReadFile(string file)
    {
        try
        {
            return ScramCredentials.Read(File.ReadLines(file));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException)
        {
            throw new StartException($"the credentials in {file} cannot be used: {e.Message.TrimEnd('.')}", e);
        }
    }
}
