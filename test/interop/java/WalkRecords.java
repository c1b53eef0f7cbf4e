import java.io.ByteArrayInputStream;
import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.Security;
import java.security.cert.CertPathBuilder;
import java.security.cert.CertStore;
import java.security.cert.CertificateFactory;
import java.security.cert.CollectionCertStoreParameters;
import java.security.cert.PKIXBuilderParameters;
import java.security.cert.TrustAnchor;
import java.security.cert.X509CRL;
import java.security.cert.X509CertSelector;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Date;
import java.util.List;
import java.util.Set;
import org.bouncycastle.asn1.ASN1EncodableVector;
import org.bouncycastle.asn1.ASN1Encoding;
import org.bouncycastle.asn1.ASN1Sequence;
import org.bouncycastle.asn1.DERSequence;
import org.bouncycastle.asn1.tsp.ArchiveTimeStamp;
import org.bouncycastle.asn1.tsp.ArchiveTimeStampChain;
import org.bouncycastle.asn1.tsp.EvidenceRecord;
import org.bouncycastle.cert.X509CRLHolder;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cms.SignerInformationVerifier;
import org.bouncycastle.cms.jcajce.JcaSimpleSignerInfoVerifierBuilder;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.operator.DigestCalculatorProvider;
import org.bouncycastle.operator.jcajce.JcaDigestCalculatorProviderBuilder;
import org.bouncycastle.tsp.TimeStampToken;
import org.bouncycastle.tsp.ers.ERSByteData;
import org.bouncycastle.tsp.ers.ERSData;
import org.bouncycastle.tsp.ers.ERSDataGroup;
import org.bouncycastle.tsp.ers.ERSEvidenceRecord;

/**
 * Verifies evidence records with Bouncy Castle. Its own validate() looks at the newest token's signature alone, so
 * the record is verified as it was after each renewal, every token with its path and revocation list.
 *
 * A line of input: record file, file of anchors (PEM), files of the documents; a line of output: the record file, and
 * "valid N" (tokens) or "invalid REASON".
 */
@SuppressWarnings("unchecked")
public final class WalkRecords {
    private static DigestCalculatorProvider digests;

    public static void main(String[] arguments) throws Exception {
        Security.addProvider(new BouncyCastleProvider());
        digests = new JcaDigestCalculatorProviderBuilder().setProvider("BC").build();
        for (String line : Files.readAllLines(Path.of(arguments[0]))) {
            String[] files = line.split("\t");
            String verdict;
            try {
                verdict = "valid " + walk(files);
            } catch (Exception error) {
                StringBuilder reason = new StringBuilder();
                for (Throwable each = error; each != null; each = each.getCause()) reason.append(each.getMessage()).append("; ");
                verdict = "invalid " + reason.toString().replaceAll("\\s+", " ");
            }
            System.out.println(files[0] + "\t" + verdict);
        }
    }

    private static int walk(String[] files) throws Exception {
        byte[] bytes = Files.readAllBytes(Path.of(files[0]));
        Set<TrustAnchor> anchors = Set.copyOf(readAnchors(files[1]));
        List<ERSData> documents = new ArrayList<>();
        for (String file : Arrays.copyOfRange(files, 2, files.length)) {
            documents.add(new ERSByteData(Files.readAllBytes(Path.of(file))));
        }
        ERSData group = documents.size() == 1 ? documents.get(0) : new ERSDataGroup(documents);
        EvidenceRecord record = EvidenceRecord.getInstance(bytes);
        if (!Arrays.equals(record.getEncoded(ASN1Encoding.DER), bytes)) throw new Exception("not DER");
        ASN1Sequence fields = ASN1Sequence.getInstance(bytes);
        ArchiveTimeStampChain[] chains = record.getArchiveTimeStampSequence().getArchiveTimeStampChains();
        int tokens = 0;
        ASN1EncodableVector older = new ASN1EncodableVector();
        for (ArchiveTimeStampChain chain : chains) {
            ASN1EncodableVector current = new ASN1EncodableVector();
            for (ArchiveTimeStamp stamp : chain.getArchiveTimestamps()) {
                current.add(stamp);
                check(upTo(fields, older, new DERSequence(current)), group, stamp, current.size(), anchors);
                tokens++;
            }
            older.add(chain);
        }
        return tokens;
    }

    /** The record as it was when that chain was the newest. */
    private static byte[] upTo(ASN1Sequence fields, ASN1EncodableVector older, DERSequence newest) throws Exception {
        ASN1EncodableVector sequence = new ASN1EncodableVector();
        for (int i = 0; i < older.size(); i++) sequence.add(older.get(i));
        sequence.add(newest);
        ASN1EncodableVector parts = new ASN1EncodableVector();
        for (int i = 0; i < fields.size() - 1; i++) parts.add(fields.getObjectAt(i));
        parts.add(new DERSequence(sequence));
        return new DERSequence(parts).getEncoded(ASN1Encoding.DER);
    }

    private static void check(byte[] bytes, ERSData group, ArchiveTimeStamp stamp, int place, Set<TrustAnchor> anchors)
            throws Exception {
        // The constructor follows each link within the chains.
        ERSEvidenceRecord record = new ERSEvidenceRecord(bytes, digests);
        TimeStampToken token = new TimeStampToken(stamp.getTimeStamp());
        Date time = token.getTimeStampInfo().getGenTime();
        record.validatePresent(group, time);
        Collection<X509CertificateHolder> found = token.getCertificates().getMatches(token.getSID());
        if (found.isEmpty()) throw new Exception("no certificate in the token");
        X509CertificateHolder signer = found.iterator().next();
        SignerInformationVerifier verifier =
            new JcaSimpleSignerInfoVerifierBuilder().setProvider("BC").build(signer);
        token.validate(verifier);
        // From the third of a chain on it wants more than RFC 4998 5.3 says: all older tokens in the first list.
        if (place <= 2) record.validate(verifier);
        validatePath(token, signer, time, anchors);
    }

    /** With the list inside the token, which must be there. */
    private static void validatePath(TimeStampToken token, X509CertificateHolder signer, Date time, Set<TrustAnchor> anchors)
            throws Exception {
        CertificateFactory factory = CertificateFactory.getInstance("X.509", "BC");
        List<Object> store = new ArrayList<>();
        for (X509CertificateHolder each : token.getCertificates().getMatches(null)) {
            store.add(factory.generateCertificate(new ByteArrayInputStream(each.getEncoded())));
        }
        for (X509CRLHolder each : (Collection<X509CRLHolder>) token.getCRLs().getMatches(null)) {
            X509CRL list = (X509CRL) factory.generateCRL(new ByteArrayInputStream(each.getEncoded()));
            if (!list.getThisUpdate().after(time)) throw new Exception("a list older than the token");
            store.add(list);
        }
        X509CertSelector target = new X509CertSelector();
        target.setCertificate((X509Certificate) factory.generateCertificate(new ByteArrayInputStream(signer.getEncoded())));
        PKIXBuilderParameters parameters = new PKIXBuilderParameters(anchors, target);
        parameters.addCertStore(CertStore.getInstance("Collection", new CollectionCertStoreParameters(store), "BC"));
        parameters.setDate(time);
        parameters.setRevocationEnabled(true);
        CertPathBuilder.getInstance("PKIX", "BC").build(parameters);
    }

    private static List<TrustAnchor> readAnchors(String file) throws Exception {
        List<TrustAnchor> anchors = new ArrayList<>();
        CertificateFactory factory = CertificateFactory.getInstance("X.509", "BC");
        try (var stream = Files.newInputStream(new File(file).toPath())) {
            for (var each : factory.generateCertificates(stream)) anchors.add(new TrustAnchor((X509Certificate) each, null));
        }
        return anchors;
    }
}
