# Mail::IMAPTalk against the facade: PORT CA LOGIN PASSWORD. Prints one line of JSON for each thing it learned.
use strict;
use warnings;
use utf8;
use JSON::PP;
use Mail::IMAPTalk;

my ($port, $ca, $login, $password) = @ARGV;
my $json = JSON::PP->new->canonical->ascii;
sub say_ { my ($name, $value) = @_; print $json->encode([$name, $value]), "\n"; }

my $imap = Mail::IMAPTalk->new(
  Server => 'localhost', Port => $port, UseSSL => 1, SSL_ca_file => $ca,
  Username => $login, Password => $password, Uid => 1, UseBlocking => 1,
) or die "no login: $@";
# In list context its answers fall apart.
sub ask {
  my ($method, @arguments) = @_;
  my $result = $imap->$method(@arguments);
  die "$method: " . ($imap->get_last_error // '?') unless defined $result;
  return $result;
}

say_('capability', [grep { $imap->capability->{$_} } qw(imap4rev1 uidplus move condstore idle)]);
my $list = ask('list', '', '*');
say_('list', [sort map { $_->[2] } @$list]);
ask('create', 'Perl/Eins');
ask('subscribe', 'Perl/Eins');
ask('rename', 'Perl/Eins', 'Perl/Zwei');
my $text = "From: perl\@stadt.example\r\nSubject: aus Perl\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\neins\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>zwei</p>\r\n--b--\r\n";
ask('append', 'Perl/Zwei', '(\\Seen $Akte)', { Literal => $text });
say_('appenduid', $imap->get_response_code('appenduid') ? 1 : 0);
ask('select', 'Perl/Zwei');
say_('exists', 0 + $imap->get_response_code('exists'));
my $fetched = ask('fetch', '1:*', '(flags rfc822.size envelope bodystructure)');
my ($uid) = keys %$fetched;
my $message = $fetched->{$uid};
say_('subject', $message->{envelope}->{Subject});
say_('from', $message->{envelope}->{From});
say_('parts', [map { "$_->{'MIME-Type'}/$_->{'MIME-Subtype'} $_->{'IMAP-Partnum'}" } @{ $message->{bodystructure}->{'MIME-Subparts'} }]);
say_('size', $message->{'rfc822.size'} == length($text) ? 1 : 0);
say_('part', ask('fetch', $uid, 'body.peek[2]')->{$uid}->{body});
ask('store', $uid, '+flags', '(\\Flagged)');
say_('search', scalar @{ ask('search', 'flagged', 'keyword', '$Akte', 'subject', 'perl') });
say_('nothing', scalar @{ ask('search', 'unseen') });
ask('copy', $uid, 'Archiv');
ask('store', $uid, '+flags', '(\\Deleted)');
ask('expunge');
say_('status', ask('status', 'Archiv', '(messages unseen)'));
say_('quota', ref ask('getquotaroot', 'INBOX'));
ask('unselect');
ask('delete', 'Perl/Zwei');
say_('refused', defined(scalar $imap->delete('INBOX')) ? 1 : 0);
$imap->logout();
